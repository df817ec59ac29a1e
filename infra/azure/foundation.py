"""One resource group that holds everything of the stack, in one tenant and subscription."""

import hashlib
from dataclasses import dataclass

from pulumi import Input, Output, Resource
from pulumi_azure_native import authorization, resources

from infra.capabilities import Scope


@dataclass(frozen=True)
class AzureFoundation:
    group: Output[str]
    group_id: Output[str]
    tenant: Output[str]
    subscription: Output[str]
    ready: tuple[Resource, ...] = ()

    def unique(self, text: str) -> Output[str]:
        """A name nobody else has: some Azure names are shared by the whole world."""
        return self.subscription.apply(lambda s: f"{text}-{hashlib.sha256(s.encode()).hexdigest()[:6]}")


def build(scope: Scope) -> AzureFoundation:
    settings = scope.settings
    group = resources.ResourceGroup(
        settings.prefix,
        resource_group_name=settings.prefix,
        location=settings.region,
        opts=scope.own(protect=True),
    )
    who = authorization.get_client_config_output()
    return AzureFoundation(group=group.name, group_id=group.id, tenant=who.tenant_id, subscription=who.subscription_id)


def account(foundation: AzureFoundation) -> Input[str]:
    """What the contract calls the account."""
    return foundation.subscription
