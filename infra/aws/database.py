"""
PostgreSQL with pgvector on RDS: as many vCPU and GiB as on the other clouds, a standby in another zone when highly
available; or Aurora Serverless v2 between two capacities, when asked for (design/adr/0102). Workloads sign in by IAM.

RDS insists on an administrator password: Secrets Manager makes, stores and rotates it; only the migrator reads it.
"""

from collections.abc import Sequence
from typing import Any

import pulumi_aws as aws
from pulumi import Output

from infra.aws.access import Allow
from infra.aws.foundation import AwsFoundation
from infra.aws.observability import log_group
from infra.capabilities import Database, Ground, Reach, Scope
from infra.grants import Access
from infra.settings import DatabaseSize

# The major alone: AWS upgrades minors by itself, and a pinned one would make the next `pulumi up` a downgrade.
# pgvector 0.8 is in the extension list of every 17.x.
ENGINE_VERSION = "17"
DATABASE = "pointsman"
ADMIN = "administrator"
CLASS = {
    DatabaseSize.SMALL: "db.t4g.micro",
    DatabaseSize.COMPACT: "db.t4g.medium",
    DatabaseSize.MEDIUM: "db.m7g.large",
    DatabaseSize.LARGE: "db.m7g.xlarge",
}
STORAGE_MAX_GB = 16_000  # where it stops growing by itself, as on Azure
# The authorities of every region: docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html (2026-11)
CA = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
# Slow statements only: a full statement log would hold ticket text.
_LOGGING: Any = [
    {"name": "log_min_duration_statement", "value": "2000"},
    {"name": "log_parameter_max_length", "value": "0"},
    {"name": "rds.force_ssl", "value": "1"},
]


def build(scope: Scope, ground: Ground[AwsFoundation]) -> Database:
    subnets = aws.rds.SubnetGroup(scope.name("database"), subnet_ids=ground.network.data, opts=scope.own())
    firewall = _firewall(scope, ground)
    make = _aurora if scope.settings.database.scales else _instance
    return make(scope, ground, subnets, firewall)


def words(reach: Reach[AwsFoundation], what: Access, users: Sequence[str]) -> list[Allow]:
    """Each container logs in as a user of its own name; the migrator reads the administrator's password."""
    if what is Access.DATABASE_ADMIN:
        return [Allow(["secretsmanager:GetSecretValue"], [reach.stores.database.admin_secret])]
    region, server = reach.settings.region, reach.stores.database.server
    all_users = Output.concat(f"arn:aws:rds-db:{region}:", reach.ground.foundation.account, ":dbuser:", server, "/")
    return [Allow(["rds-db:connect"], [Output.concat(all_users, user) for user in users])]


def _firewall(scope: Scope, ground: Ground[AwsFoundation]) -> aws.ec2.SecurityGroup:
    name = scope.name("database")
    group = aws.ec2.SecurityGroup(
        name, vpc_id=ground.network.id, description="PostgreSQL from our own network", opts=scope.own()
    )
    aws.vpc.SecurityGroupIngressRule(
        name,
        security_group_id=group.id,
        cidr_ipv4=str(scope.settings.network.inside),
        ip_protocol="tcp",
        from_port=5432,
        to_port=5432,
        opts=scope.own(),
    )
    return group


def _log(scope: Scope, ground: Ground[AwsFoundation], kind: str) -> aws.cloudwatch.LogGroup:
    """RDS writes to a group of this very name, and would make it itself: unencrypted by our key and without an end."""
    name = scope.name("database")
    return log_group(scope, ground.keys, "database", name=f"/aws/rds/{kind}/{name}/postgresql")


def _aurora(
    scope: Scope, ground: Ground[AwsFoundation], subnets: aws.rds.SubnetGroup, firewall: aws.ec2.SecurityGroup
) -> Database:
    choices, name, key = scope.settings.database, scope.name("database"), ground.keys.data
    parameters = aws.rds.ClusterParameterGroup(
        name,
        family="aurora-postgresql17",
        parameters=[{**p, "apply_method": "pending-reboot"} for p in _LOGGING],
        opts=scope.own(),
    )
    cluster = aws.rds.Cluster(
        name,
        cluster_identifier=name,
        engine=aws.rds.EngineType.AURORA_POSTGRESQL,
        engine_version=ENGINE_VERSION,
        database_name=DATABASE,
        master_username=ADMIN,
        manage_master_user_password=True,
        master_user_secret_kms_key_id=key,
        iam_database_authentication_enabled=True,
        storage_encrypted=True,
        kms_key_id=key,
        db_subnet_group_name=subnets.name,
        vpc_security_group_ids=[firewall.id],
        db_cluster_parameter_group_name=parameters.name,
        backup_retention_period=choices.backup_days,
        deletion_protection=scope.settings.is_protected,
        skip_final_snapshot=not scope.settings.is_protected,
        final_snapshot_identifier=f"{name}-final" if scope.settings.is_protected else None,
        copy_tags_to_snapshot=True,
        enabled_cloudwatch_logs_exports=["postgresql"],
        serverlessv2_scaling_configuration={
            "min_capacity": choices.scaling_min or 0,
            "max_capacity": choices.scaling_max or 0,  # set, or this cluster would not be made
        },
        opts=scope.own(protect=True, depends_on=[_log(scope, ground, "cluster")]),
    )
    for i in range(2 if choices.highly_available else 1):
        _aurora_instance(scope, ground, cluster, i)
    return Database(
        id=cluster.arn,
        host=cluster.endpoint,
        name=DATABASE,
        auth="aws-iam",
        ca=CA,
        server=cluster.cluster_resource_id,
        admin=ADMIN,
        admin_secret=cluster.master_user_secrets[0].secret_arn,
    )


def _aurora_instance(scope: Scope, ground: Ground[AwsFoundation], cluster: aws.rds.Cluster, i: int) -> None:
    aws.rds.ClusterInstance(
        scope.name(f"database-{i}"),
        cluster_identifier=cluster.id,
        engine=aws.rds.EngineType.AURORA_POSTGRESQL,
        engine_version=ENGINE_VERSION,
        instance_class="db.serverless",
        publicly_accessible=False,
        performance_insights_enabled=True,
        performance_insights_kms_key_id=ground.keys.data,
        auto_minor_version_upgrade=True,
        copy_tags_to_snapshot=True,
        opts=scope.own(),
    )


def _instance(
    scope: Scope, ground: Ground[AwsFoundation], subnets: aws.rds.SubnetGroup, firewall: aws.ec2.SecurityGroup
) -> Database:
    choices, name, key = scope.settings.database, scope.name("database"), ground.keys.data
    parameters = aws.rds.ParameterGroup(
        name,
        family="postgres17",
        parameters=[{**p, "apply_method": "pending-reboot"} for p in _LOGGING],
        opts=scope.own(),
    )
    instance = aws.rds.Instance(
        name,
        identifier=name,
        engine="postgres",
        engine_version=ENGINE_VERSION,
        instance_class=CLASS[choices.size],
        db_name=DATABASE,
        username=ADMIN,
        manage_master_user_password=True,
        master_user_secret_kms_key_id=key,
        iam_database_authentication_enabled=True,
        allocated_storage=max(20, choices.storage_gb),  # gp3 starts at 20 GB
        max_allocated_storage=STORAGE_MAX_GB,
        storage_type="gp3",
        storage_encrypted=True,
        kms_key_id=key,
        db_subnet_group_name=subnets.name,
        vpc_security_group_ids=[firewall.id],
        parameter_group_name=parameters.name,
        publicly_accessible=False,
        multi_az=choices.highly_available,
        backup_retention_period=choices.backup_days,
        deletion_protection=scope.settings.is_protected,
        skip_final_snapshot=not scope.settings.is_protected,
        final_snapshot_identifier=f"{name}-final" if scope.settings.is_protected else None,
        copy_tags_to_snapshot=True,
        auto_minor_version_upgrade=True,
        **_insights(scope, ground),
        enabled_cloudwatch_logs_exports=["postgresql"],
        opts=scope.own(protect=True, depends_on=[_log(scope, ground, "instance")], ignore_changes=["allocatedStorage"]),
    )
    return Database(
        id=instance.arn,
        host=instance.address,
        name=DATABASE,
        auth="aws-iam",
        ca=CA,
        server=instance.resource_id,
        admin=ADMIN,
        admin_secret=instance.master_user_secrets[0].secret_arn,
    )


def _insights(scope: Scope, ground: Ground[AwsFoundation]) -> Any:
    """The micro class has none."""
    if scope.settings.database.size is DatabaseSize.SMALL:
        return {}
    return {"performance_insights_enabled": True, "performance_insights_kms_key_id": ground.keys.data}
