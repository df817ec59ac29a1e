"""DB: the database survives mistakes and failures."""

from collections.abc import Iterator

from infra.kinds import kinds
from infra.offline.report import Resource
from infra.policies.rules.base import (
    COMPUTED,
    Breach,
    Stack,
    absent,
    at_least,
    dig,
    equals,
    is_set,
    is_true,
    must,
    rule,
)
from infra.policies.rules.encryption import configured

_RDS = ("aws:rds/cluster:Cluster", "aws:rds/instance:Instance")
_FLEXIBLE = "azure-native:dbforpostgresql:Server"
_SQL = "gcp:sql/databaseInstance:DatabaseInstance"


@rule("DB-001", "backups reach back seven days, in prod fourteen")
def backups(stack: Stack) -> Iterator[Breach]:
    days = 14 if stack.profile == "prod" else 7
    message = f"Backups must reach back {days} days"
    yield from must(stack.of(*_RDS), "backupRetentionPeriod", at_least(days), message)
    yield from must(stack.of(_FLEXIBLE), "backup.backupRetentionDays", at_least(days), message)
    path = "settings.backupConfiguration"
    yield from must(stack.of(_SQL), f"{path}.backupRetentionSettings.retainedBackups", at_least(days), message)
    for switch in ("enabled", "pointInTimeRecoveryEnabled"):
        yield from must(stack.of(_SQL), f"{path}.{switch}", is_true, "No point-in-time recovery")


@rule("DB-002", "in prod the database survives the loss of a zone", profiles=("prod",))
def highly_available(stack: Stack) -> Iterator[Breach]:
    if stack.of("aws:rds/cluster:Cluster") and len(stack.of("aws:rds/clusterInstance:ClusterInstance")) < 2:
        yield absent(stack, "Aurora needs a second instance; set database.highly_available")
    yield from must(stack.of("aws:rds/instance:Instance"), "multiAz", is_true, "The instance is in one zone")
    servers = stack.of(_FLEXIBLE)
    yield from must(servers, "highAvailability.mode", equals("ZoneRedundant"), "The server is in one zone")
    yield from must(stack.of(_SQL), "settings.availabilityType", equals("REGIONAL"), "The instance is in one zone")


@rule(
    "DB-003", "database, cluster and whatever else its cloud can keep refuse to be deleted", profiles=("small", "prod")
)
def deletion_protection(stack: Stack) -> Iterator[Breach]:
    message = "Can be deleted by one command; set protect"
    for type_, record in kinds(stack.cloud).services.items():
        for path in record.kept:
            yield from must(stack.of(type_), path, is_true, message)
    yield from ((r.urn, message) for r in stack.of(_FLEXIBLE) if not r.protect)  # Azure has no such switch: Pulumi's


@rule("DB-004", "the database's log leaves the database")
def logs_exported(stack: Stack) -> Iterator[Breach]:
    message = "The database's log is not exported"
    yield from must(stack.of(*_RDS), "enabledCloudwatchLogsExports", lambda v: "postgresql" in (v or []), message)
    groups = {str(r.inputs.get("name")) for r in stack.of("aws:cloudwatch/logGroup:LogGroup")}
    for r in stack.of(*_RDS):
        if not any(name.startswith("/aws/rds/") and f"/{_identifier(r)}/" in name for name in groups):
            yield r.urn, "RDS would make the log group itself, without our key and without an end"
    if stack.of(_FLEXIBLE) and not diagnosed(stack, "database"):
        yield absent(stack, message)
    for r in stack.of(_SQL):  # Cloud SQL always exports; what it writes is the flags' choice
        names = {f["name"] for f in dig(r.inputs, "settings.databaseFlags") or []}
        if "log_min_duration_statement" not in names:
            yield r.urn, "The database logs no slow statements"


@rule("DB-005", "the database's log holds no value of a statement: they are text of tickets")
def log_holds_no_values(stack: Stack) -> Iterator[Breach]:
    servers = stack.of("aws:rds/clusterParameterGroup:ClusterParameterGroup", "aws:rds/parameterGroup:ParameterGroup")
    told = {r.urn: r.inputs.get("parameters") for r in servers}
    told |= {r.urn: dig(r.inputs, "settings.databaseFlags") for r in stack.of(_SQL)}
    for r in stack.of(_FLEXIBLE):
        told[r.urn] = [{"name": _VALUES, "value": value} for value in configured(stack, r, _VALUES)]
    for urn, said in told.items():
        if not any(s.get("name") == _VALUES and str(s.get("value")) == "0" for s in said or []):
            yield urn, f"Values of slow statements would be logged; set {_VALUES} to 0"


_VALUES = "log_parameter_max_length"


@rule("DB-006", "the database that the contract names is made, and may hold vectors")
def database_is_made(stack: Stack) -> Iterator[Breach]:
    named = dig(stack.contract, "database.name")
    made = [r.inputs.get(path) for type_, path in _NAMES.items() for r in stack.of(type_)]
    for r in stack.of(_FLEXIBLE):
        if configured(stack, r, "azure.extensions") != {"VECTOR"}:
            yield (
                r.urn,
                "The first migration makes the extension vector; the server allows it by azure.extensions",
            )
    makers = [r for r in stack.of("gcp:sql/user:User") if r.inputs.get("databaseRoles")]
    if stack.of(_SQL) and not makers:
        yield absent(stack, "No user of the database may make the others; give the migrator's databaseRoles")
    if stack.contract and named not in made and COMPUTED not in (named, *made):
        yield absent(stack, f"The contract names the database {named!r}; made are {made}")


@rule("DB-007", "a disk grows before it is full, and what has grown is not set back")
def grows_and_stays(stack: Stack) -> Iterator[Breach]:
    """Google's provider would delete the instance to shrink its disk, AWS and Azure refuse the whole update."""
    for type_, record in kinds(stack.cloud).services.items():
        if grows := record.grows:
            allowed = is_set if not grows.allowed else lambda v, grows=grows: v in grows.allowed
            yield from must(stack.of(type_), grows.by, allowed, "Stops when its disk is full")
            for r in stack.of(type_):
                if grows.at not in r.ignores:
                    yield r.urn, f"The next `up` would set a grown disk back; name {grows.at} in ignore_changes"


_NAMES = {
    "aws:rds/cluster:Cluster": "databaseName",
    "aws:rds/instance:Instance": "dbName",
    "azure-native:dbforpostgresql:Database": "databaseName",
    "gcp:sql/database:Database": "name",
}


def _identifier(resource: Resource) -> str:
    return str(resource.inputs.get("clusterIdentifier") or resource.inputs.get("identifier"))


def diagnosed(stack: Stack, label: str) -> bool:
    """Whether an Azure resource sends its log to the workspace."""
    settings = stack.of("azure-native:monitor:DiagnosticSetting")
    return any(r.name.endswith(f"-{label}") and r.inputs.get("logs") for r in settings)
