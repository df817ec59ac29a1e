"""
A vault for connector credentials. Azure has no empty secret, so the names are promised and the values put in by hand:
`az keyvault secret set` makes the secret. No value ever passes through this program.
"""

from typing import Any

from pulumi import Input, Output
from pulumi_azure_native import keyvault

from infra.azure import private
from infra.azure.access import Role
from infra.azure.foundation import AzureFoundation
from infra.azure.observability import diagnose
from infra.capabilities import Ground, Reach, Scope, Secrets
from infra.grants import Access


def build(scope: Scope, ground: Ground[AzureFoundation]) -> Secrets:
    foundation = ground.foundation
    rules: Any = private.closed(scope, ground.network)
    vault = keyvault.Vault(
        scope.name("secrets"),
        resource_group_name=foundation.group,
        vault_name=foundation.unique(f"{scope.settings.prefix[:14]}-s"),
        properties={
            "tenant_id": foundation.tenant,
            "sku": {"family": keyvault.SkuFamily.A, "name": keyvault.SkuName.STANDARD},
            "enable_rbac_authorization": True,
            "enable_purge_protection": True,
            "enable_soft_delete": True,
            "soft_delete_retention_in_days": 90,
            "public_network_access": private.public_access(scope),
            "network_acls": rules,
        },
        opts=scope.own(protect=True),
    )
    private.endpoint(scope, foundation, ground.network, vault, label="vault")
    diagnose(scope, "secrets", vault.id, ground.observability.logs)
    uri = vault.properties.vault_uri
    names = {name: Output.concat(uri, "secrets/connector-", name) for name in scope.settings.connectors}
    return Secrets(kind="azure-key-vault", store=vault.id, uri=uri, connectors=names)


def words(reach: Reach[AzureFoundation], what: Access) -> list[tuple[Role, Input[str]]]:
    """Who may write may read as well: Azure has no role that only writes."""
    role = {Access.SECRETS_READ: Role.SECRETS_USER, Access.SECRETS_WRITE: Role.SECRETS_OFFICER}[what]
    return [(role, reach.stores.secrets.store)]
