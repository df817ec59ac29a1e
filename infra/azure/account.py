"""A storage account as we want all of them, whatever it holds."""

from typing import Any

from pulumi_azure_native import storage

from infra.azure.foundation import AzureFoundation
from infra.azure.keys import parts
from infra.capabilities import Keys, Scope


def account_with_our_key(
    scope: Scope, foundation: AzureFoundation, keys: Keys, *, label: str, public: str, rules: Any
) -> storage.StorageAccount:
    """A storage account as we want all of them: Entra only, TLS 1.2, our key, closed network."""
    settings = scope.settings
    vault, name = parts(keys)
    return storage.StorageAccount(
        f"{settings.application}{settings.environment}"[:13] + label,  # letters and digits only, and Pulumi adds eight
        resource_group_name=foundation.group,
        kind=storage.Kind.STORAGE_V2,
        sku={"name": storage.SkuName.STANDARD_ZRS if settings.network.zones > 1 else storage.SkuName.STANDARD_LRS},
        allow_blob_public_access=False,
        allow_shared_key_access=False,
        allow_cross_tenant_replication=False,
        default_to_o_auth_authentication=True,
        minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
        enable_https_traffic_only=True,
        public_network_access=public,
        network_rule_set=rules,
        identity={"type": storage.IdentityType.USER_ASSIGNED, "user_assigned_identities": [keys.holder]},
        encryption={
            "key_source": storage.KeySource.MICROSOFT_KEYVAULT,
            "key_vault_properties": {"key_name": name, "key_vault_uri": vault},
            "encryption_identity": {"encryption_user_assigned_identity": keys.holder},
        },
        opts=scope.own(protect=True, depends_on=keys.ready),
    )
