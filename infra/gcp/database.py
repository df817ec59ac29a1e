"""Cloud SQL for PostgreSQL with pgvector, on a private address, IAM sign-in only: no user with a password is made."""

from typing import Any

import pulumi_gcp as gcp
from pulumi import Input, Output

from infra.capabilities import Database, Ground, Reach, Scope
from infra.gcp import access
from infra.gcp.foundation import GcpFoundation
from infra.grants import Access
from infra.settings import DatabaseSize

VERSION = "POSTGRES_17"
DATABASE = "pointsman"
TIER: Any = {
    DatabaseSize.SMALL: "db-f1-micro",
    DatabaseSize.COMPACT: "db-custom-2-4096",
    DatabaseSize.MEDIUM: "db-custom-2-8192",
    DatabaseSize.LARGE: "db-custom-4-16384",
}
# Parameters stay out of the log, they may hold ticket text.
_FLAGS = {
    "cloudsql.iam_authentication": "on",
    "log_min_duration_statement": "2000",
    "log_parameter_max_length": "0",
}


def build(scope: Scope, ground: Ground[GcpFoundation]) -> Database:
    choices = scope.settings.database
    instance = gcp.sql.DatabaseInstance(
        scope.name("database"),
        region=scope.settings.region,
        database_version=VERSION,
        deletion_protection=scope.settings.is_protected,
        encryption_key_name=ground.keys.data,
        settings={
            "tier": TIER[choices.size],
            "edition": "ENTERPRISE",
            "disk_type": "PD_SSD",
            "disk_size": choices.storage_gb,
            "disk_autoresize": True,
            "availability_type": "REGIONAL" if choices.highly_available else "ZONAL",
            "deletion_protection_enabled": scope.settings.is_protected,
            "retain_backups_on_delete": scope.settings.is_protected,
            "ip_configuration": {
                "ipv4_enabled": False,
                "private_network": ground.network.id,
                "ssl_mode": "ENCRYPTED_ONLY",
                "enable_private_path_for_google_cloud_services": True,
            },
            "backup_configuration": _backups(choices.backup_days),
            "database_flags": [{"name": name, "value": value} for name, value in _FLAGS.items()],
            "insights_config": {"query_insights_enabled": True, "record_application_tags": False},
            "user_labels": scope.settings.required_tags,
        },
        opts=scope.own(
            protect=True,
            depends_on=[*ground.network.ready, *ground.keys.ready],
            ignore_changes=["settings.diskSize"],
        ),
    )
    gcp.sql.Database(
        scope.name("database"),
        instance=instance.name,
        name=DATABASE,
        deletion_policy="ABANDON",  # the users' grants inside would stop a drop; the instance takes it along
        opts=scope.own(protect=True),
    )
    return Database(
        id=instance.id,
        host=instance.private_ip_address,
        name=DATABASE,
        auth="gcp-iam",
        ca=Output.unsecret(instance.server_ca_certs[0].cert),  # the provider hides it with its key; it is public
        server=instance.name,
    )


def words(scope: Scope, reach: Reach[GcpFoundation], label: str, member: Input[str], what: Access) -> None:
    """The administrator is a role inside the database, which its user has (identity.py)."""
    if what is Access.DATABASE_ADMIN:
        return
    instance = Output.concat(f"projects/{reach.ground.foundation.project}/instances/", reach.stores.database.server)
    only = Output.concat('resource.name == "', instance, f'" && resource.type == "{_INSTANCE}"')
    for role in ("client", "instanceUser"):
        access.on_project(scope, f"{label}-{role.lower()}", f"roles/cloudsql.{role}", member, only=only)


_INSTANCE = "sqladmin.googleapis.com/Instance"


def _backups(days: int) -> Any:
    return {
        "enabled": True,
        "start_time": "02:30",
        "point_in_time_recovery_enabled": True,
        "transaction_log_retention_days": 7,  # the most this edition keeps
        "backup_retention_settings": {"retained_backups": days, "retention_unit": "COUNT"},
    }
