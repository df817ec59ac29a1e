"""Azure OpenAI: one account without keys, with the named deployments: the right to call it is the right to them."""

from typing import Any

from pulumi import Input, Resource
from pulumi_azure_native import cognitiveservices as ai

from infra.azure import keys, private
from infra.azure.access import Role
from infra.azure.foundation import AzureFoundation
from infra.azure.observability import diagnose
from infra.capabilities import Ground, Models, Reach, Scope
from infra.grants import Access
from infra.settings import Profile


def build(scope: Scope, ground: Ground[AzureFoundation]) -> Models:
    if not scope.settings.models.names:
        return Models(kind="embedded", endpoint="embedded")
    account = _account(scope, ground)
    last: Resource = account
    for name in scope.settings.models.names:
        last = _deployment(scope, ground, account, name, last)
    private.endpoint(scope, ground.foundation, ground.network, account, label="openai")
    # Audit and RequestResponse hold who, when, which model and how long; not the text.
    diagnose(scope, "openai", account.id, ground.observability.logs, ("audit", "allLogs"))
    return Models(
        kind="azure-openai",
        endpoint=account.properties.endpoint,
        deployments=[(name, name.partition("@")[0]) for name in scope.settings.models.names],
        grants=[account.id],
    )


def words(reach: Reach[AzureFoundation], _: Access) -> list[tuple[Role, Input[str]]]:
    return [(Role.OPENAI_USER, account) for account in reach.stores.models.grants]


def _account(scope: Scope, ground: Ground[AzureFoundation]) -> ai.Account:
    foundation = ground.foundation
    rules: Any = private.closed(scope, ground.network)
    name = foundation.unique(f"{scope.settings.prefix}-ai")
    return ai.Account(
        scope.name("models"),
        resource_group_name=foundation.group,
        kind="OpenAI",
        sku={"name": "S0"},
        identity={
            "type": ai.ResourceIdentityType.USER_ASSIGNED,
            "user_assigned_identities": [ground.keys.holder],
        },
        properties={
            "custom_sub_domain_name": name,
            "disable_local_auth": True,
            "public_network_access": "Disabled" if scope.settings.network.private_endpoints else "Enabled",
            "network_acls": rules,
            **(_our_key(ground) if scope.settings.profile is Profile.PROD else {}),
        },
        opts=scope.own(depends_on=ground.keys.ready),
    )


def _our_key(ground: Ground[AzureFoundation]) -> Any:
    vault, name = keys.parts(ground.keys)
    return {
        "encryption": {
            "key_source": ai.KeySource.MICROSOFT_KEY_VAULT,
            "key_vault_properties": {
                "key_name": name,
                "key_vault_uri": vault,
                "identity_client_id": ground.keys.holder_client,
            },
        }
    }


def _deployment(
    scope: Scope, ground: Ground[AzureFoundation], account: ai.Account, name: str, after: Resource
) -> ai.Deployment:
    """`name` is `model` or `model@version`. One after the other: the account takes one deployment at a time."""
    model, _, version = name.partition("@")
    return ai.Deployment(
        scope.name(f"model-{model.replace('.', '-')}"),
        resource_group_name=ground.foundation.group,
        account_name=account.name,
        deployment_name=model,
        sku={"name": "GlobalStandard", "capacity": scope.settings.models.capacity_ktpm},
        properties={
            "model": {"format": "OpenAI", "name": model, **({"version": version} if version else {})},
            "version_upgrade_option": ai.DeploymentModelVersionUpgradeOption.ONCE_CURRENT_VERSION_EXPIRED,
        },
        opts=scope.own(depends_on=[after]),
    )
