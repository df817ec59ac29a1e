"""One customer-managed key in a vault nobody reaches from outside, and the one identity services use it through."""

from typing import Any

from pulumi import Output
from pulumi_azure_native import keyvault

from infra.azure import access
from infra.azure.access import Role
from infra.azure.foundation import AzureFoundation
from infra.capabilities import Keys, Scope

_NINETY_DAYS, _TWO_YEARS = "P90D", "P2Y"


def build(scope: Scope, foundation: AzureFoundation) -> Keys:
    premium = keyvault.SkuName.STANDARD if scope.settings.is_small else keyvault.SkuName.PREMIUM  # premium: HSM
    vault = keyvault.Vault(
        scope.name("keys"),
        resource_group_name=foundation.group,
        vault_name=foundation.unique(f"{scope.settings.prefix[:14]}-k"),
        properties={
            "tenant_id": foundation.tenant,
            "sku": {"family": keyvault.SkuFamily.A, "name": premium},
            "enable_rbac_authorization": True,
            "enable_purge_protection": True,
            "enable_soft_delete": True,
            "soft_delete_retention_in_days": 90,
            # Keys are made through Azure's control plane, and trusted services come in by the bypass.
            "public_network_access": "Disabled",
            "network_acls": {"default_action": "Deny", "bypass": "AzureServices"},
        },
        opts=scope.own(protect=True),
    )
    key = _key(scope, foundation, vault)
    holder = access.identity(scope, foundation, "keys")
    granted = access.assign(scope, foundation, "keys", Role.KEY_ENCRYPTION_USER, to=holder.principal_id, at=vault.id)
    return Keys(
        data=key.key_uri,
        version=key.key_uri_with_version,
        store=vault.id,
        holder=holder.id,
        holder_client=holder.client_id,
        ready=access.settled(scope, "keys", [granted]),
    )


def parts(keys: Keys) -> tuple[Output[str], Output[str]]:
    """The vault's address and the key's name out of https://vault/keys/name, for the services that want them apart."""
    uri = Output.from_input(keys.data)
    return uri.apply(lambda u: u.rsplit("/keys/", 1)[0]), uri.apply(lambda u: u.rsplit("/", 1)[-1])


def _key(scope: Scope, foundation: AzureFoundation, vault: keyvault.Vault) -> keyvault.Key:
    kind = keyvault.JsonWebKeyType.RSA if scope.settings.is_small else keyvault.JsonWebKeyType.RS_A_HSM
    rotate: Any = {"action": {"type": "rotate"}, "trigger": {"time_after_create": _NINETY_DAYS}}
    return keyvault.Key(
        scope.name("data"),
        resource_group_name=foundation.group,
        vault_name=vault.name,
        key_name="data",
        properties={
            "kty": kind,
            "key_size": 3072,
            "rotation_policy": {"attributes": {"expiry_time": _TWO_YEARS}, "lifetime_actions": [rotate]},
        },
        opts=scope.own(protect=True),
    )
