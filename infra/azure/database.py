"""PostgreSQL flexible server with pgvector, inside our network, Entra sign-in only: it has no password at all."""

from pulumi import Input, Output
from pulumi_azure_native import dbforpostgresql as pg

from infra.azure import private
from infra.azure.access import Principal, Role
from infra.azure.foundation import AzureFoundation
from infra.azure.observability import diagnose
from infra.capabilities import Database, Ground, Reach, Scope
from infra.grants import Access
from infra.settings import DatabaseSize

VERSION = "17"
DATABASE = "pointsman"
CA = "system"  # DigiCert's and Microsoft's roots, which every system trusts: libpq's sslrootcert=system
SKU = {
    DatabaseSize.SMALL: ("Standard_B1ms", pg.SkuTier.BURSTABLE),
    DatabaseSize.COMPACT: ("Standard_B2s", pg.SkuTier.BURSTABLE),
    DatabaseSize.MEDIUM: ("Standard_D2ds_v5", pg.SkuTier.GENERAL_PURPOSE),
    DatabaseSize.LARGE: ("Standard_D4ds_v5", pg.SkuTier.GENERAL_PURPOSE),
}
# One by one: the server takes a single change at a time. Parameters stay out of the log, they may hold ticket text.
_CONFIGURATION = {
    "azure.extensions": "VECTOR",
    "ssl_min_protocol_version": "TLSV1.2",
    "log_min_duration_statement": "2000",
    "log_parameter_max_length": "0",
}


def build(scope: Scope, ground: Ground[AzureFoundation]) -> Database:
    server = _server(scope, ground)
    last = pg.Database(
        scope.name("database"),
        resource_group_name=ground.foundation.group,
        server_name=server.name,
        database_name=DATABASE,
        opts=scope.own(protect=True),
    )
    for name, value in _CONFIGURATION.items():
        last = pg.Configuration(
            scope.name(name.replace(".", "-").replace("_", "-")),
            resource_group_name=ground.foundation.group,
            server_name=server.name,
            configuration_name=name,
            value=value,
            source="user-override",
            opts=scope.own(depends_on=[last]),
        )
    diagnose(scope, "database", server.id, ground.observability.logs, ("allLogs",))
    return Database(
        id=server.id,
        host=server.fully_qualified_domain_name,
        name=DATABASE,
        auth="entra",
        ca=CA,
        # Known once the last setting is made, so the administrator is not a second change at the same time.
        server=Output.all(server.name, last.id).apply(lambda found: found[0]),
    )


def words(*_: object) -> list[tuple[Role, Input[str]]]:
    """None: users are made inside the server by the migrator, its administrator is a resource of its own (`admit`)."""
    return []


def admit(scope: Scope, reach: Reach[AzureFoundation], label: str, who: Principal, what: Access) -> None:
    if what is Access.DATABASE_ADMIN:
        pg.AdministratorsMicrosoftEntra(
            scope.name(label),
            resource_group_name=reach.ground.foundation.group,
            server_name=reach.stores.database.server,
            object_id=who.id,
            principal_name=who.name,
            principal_type=pg.PrincipalType.SERVICE_PRINCIPAL,
            tenant_id=reach.ground.foundation.tenant,
            opts=scope.own(),
        )


def _server(scope: Scope, ground: Ground[AzureFoundation]) -> pg.Server:
    choices, foundation = scope.settings.database, ground.foundation
    sku, tier = SKU[choices.size]
    zone, link = private.linked_zone(
        scope,
        foundation,
        ground.network,
        label="postgres",
        zone=f"{scope.settings.prefix}.private.postgres.database.azure.com",
    )
    return pg.Server(
        scope.name("database"),
        resource_group_name=foundation.group,
        version=VERSION,
        create_mode=pg.CreateMode.DEFAULT,
        sku={"name": sku, "tier": tier},
        storage={"storage_size_gb": max(32, choices.storage_gb), "auto_grow": pg.StorageAutoGrow.ENABLED},
        backup={
            "backup_retention_days": choices.backup_days,
            "geo_redundant_backup": "Disabled",  # with our key it would need a second key in the pair region
        },
        high_availability={"mode": "ZoneRedundant" if choices.highly_available else "Disabled"},
        auth_config={
            "active_directory_auth": "Enabled",
            "password_auth": "Disabled",
            "tenant_id": foundation.tenant,
        },
        identity={
            "type": pg.IdentityType.USER_ASSIGNED,
            "user_assigned_identities": _holder(ground),
        },
        data_encryption={
            "type": "AzureKeyVault",
            "primary_key_uri": ground.keys.data,
            "primary_user_assigned_identity_id": ground.keys.holder,
        },
        network={
            "delegated_subnet_resource_id": ground.network.data[0],
            "private_dns_zone_arm_resource_id": zone.id,
            "public_network_access": "Disabled",
        },
        opts=scope.own(
            protect=True,
            depends_on=[*ground.keys.ready, link],  # Azure refuses a zone that is not linked
            ignore_changes=["storage.storageSizeGB"],
        ),
    )


def _holder(ground: Ground[AzureFoundation]):
    return Output.from_input(ground.keys.holder).apply(lambda holder: {holder: {}})
