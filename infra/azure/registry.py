"""
Container registry without admin user or anonymous pull; Premium, where it is private, adds an endpoint.

Images lie under Microsoft's key: a registry takes ours only through a user-assigned identity, and no vault behind a
firewall answers one (github.com/MicrosoftDocs/azure-docs/issues/61064). They hold no ticket.

Azure cannot forbid overwriting a tag for a whole registry: CI locks each image it pushes, and workloads name digests.
"""

from typing import Any

from pulumi import Output
from pulumi_azure_native import containerregistry as acr
from pulumi_azure_native import security

from infra.azure import private
from infra.azure.foundation import AzureFoundation
from infra.azure.observability import diagnose
from infra.capabilities import Ground, Registry, Scope
from infra.settings import Profile


def build(scope: Scope, ground: Ground[AzureFoundation]) -> Registry:
    if external := scope.settings.registry.external_url:
        return Registry(url=external)
    premium = scope.settings.network.private_endpoints
    registry = acr.Registry(
        f"{scope.settings.application}{scope.settings.environment}",  # letters and digits only
        resource_group_name=ground.foundation.group,
        sku={"name": acr.SkuName.PREMIUM if premium else acr.SkuName.BASIC},
        admin_user_enabled=False,
        anonymous_pull_enabled=False,
        opts=scope.own(),
        **(_private(scope) if premium else {}),
    )
    private.endpoint(scope, ground.foundation, ground.network, registry, label="registry")
    diagnose(scope, "registry", registry.id, ground.observability.logs, ("allLogs",))
    if scope.settings.profile is Profile.PROD and scope.settings.registry.scan:
        _scan(scope, ground)
    return Registry(url=registry.login_server, id=registry.id)


def _private(scope: Scope) -> dict:
    named: Any = [{"action": "Allow", "i_p_address_or_range": text} for text in private.admitted(scope)]
    return {
        "public_network_access": private.public_access(scope),
        "network_rule_set": {"default_action": acr.DefaultAction.DENY, "ip_rules": named},
        "network_rule_bypass_options": acr.NetworkRuleBypassOptions.AZURE_SERVICES,
        "policies": {"retention_policy": {"days": 30, "status": acr.PolicyStatus.ENABLED}},
    }


def _scan(scope: Scope, ground: Ground[AzureFoundation]) -> None:
    """Defender scans what is pushed and what runs; it is a setting of the whole subscription."""
    security.Pricing(
        scope.name("scan"),
        scope_id=Output.concat("subscriptions/", ground.foundation.subscription),
        pricing_name="Containers",
        pricing_tier=security.PricingTier.STANDARD,
        opts=scope.own(),
    )
