"""Who may do what, as data. Each cloud turns an access into its own words; nothing else is ever granted."""

from enum import StrEnum


class Access(StrEnum):
    DATABASE = "database"
    DATABASE_ADMIN = "database-admin"
    SECRETS_READ = "secrets-read"
    SECRETS_WRITE = "secrets-write"
    DOCUMENTS_READ = "documents-read"
    DOCUMENTS_WRITE = "documents-write"
    MODELS_READ = "models-read"
    MODELS_WRITE = "models-write"
    LAKE_READ = "lake-read"
    LAKE_WRITE = "lake-write"
    BUS_PUBLISH = "bus-publish"
    BUS_READ = "bus-read"
    DEPLOY_WRITE = "deploy-write"
    CLUSTER_VIEW = "cluster-view"
    LLM_INVOKE = "llm-invoke"
    DNS_EDIT = "dns-edit"
    TELEMETRY_SEND = "telemetry-send"


# `migrator` is the job that runs schema migrations and creates the other database users: the only one that may.
GRANTS: dict[str, frozenset[Access]] = {
    "gateway": frozenset({Access.DATABASE, Access.SECRETS_READ}),
    "router": frozenset({Access.DATABASE, Access.MODELS_READ}),
    "worker": frozenset(
        {
            Access.DATABASE,
            Access.LLM_INVOKE,
            Access.DOCUMENTS_WRITE,
            Access.LAKE_WRITE,
            Access.BUS_PUBLISH,
            Access.SECRETS_READ,
        }
    ),
    "rag": frozenset({Access.DATABASE, Access.DOCUMENTS_READ, Access.MODELS_READ, Access.LLM_INVOKE}),
    "trainer": frozenset({Access.DATABASE, Access.MODELS_WRITE, Access.LAKE_READ}),
    "migrator": frozenset({Access.DATABASE, Access.DATABASE_ADMIN}),
}
# What runs beside us and acts for us: copies secrets into the cluster, proves our names, sends logs and metrics away.
PLATFORM: dict[str, frozenset[Access]] = {
    "external-secrets": frozenset({Access.SECRETS_READ}),
    "cert-manager": frozenset({Access.DNS_EDIT}),
    "telemetry": frozenset({Access.TELEMETRY_SEND}),
}
WORKLOADS = {**GRANTS, **PLATFORM}
OPERATORS = frozenset(
    {
        Access.SECRETS_WRITE,
        Access.DOCUMENTS_WRITE,
        Access.DEPLOY_WRITE,
        Access.BUS_PUBLISH,
        Access.BUS_READ,
        Access.LLM_INVOKE,
        Access.CLUSTER_VIEW,
    }
)
"""People of `settings.operators`: they seed secrets, upload, run `smoke`. Never the database: it holds tickets."""

NODE_GRANTS: frozenset[Access] = frozenset().union(*WORKLOADS.values())
"""What the one node of `small` holds: pods there share its identity (design/adr/0052)."""

# Where the contract says that a stack has what an access is about; without it there is rightly nothing to grant.
GIVEN_IF: dict[Access, str] = {
    Access.SECRETS_READ: "secrets.connectors",
    Access.SECRETS_WRITE: "secrets.connectors",
    Access.LAKE_READ: "objects.lake",
    Access.LAKE_WRITE: "objects.lake",
    Access.DEPLOY_WRITE: "cluster.deploy",
    Access.CLUSTER_VIEW: "cluster.pools",
    Access.LLM_INVOKE: "models.deployments",
    Access.DNS_EDIT: "edge.zone",
}
# What a cloud's own access control knows no word for, and who grants it instead.
INSIDE: dict[tuple[str, Access], str] = {
    ("azure", Access.DATABASE): "a role inside the server, which the migrator makes",
    ("gcp", Access.DATABASE_ADMIN): "a role inside the database, which its user has (infra/gcp/identity.py)",
}

NAMESPACE = "pointsman"


def namespace_of(workload: str) -> str:
    """Its service account has the workload's own name."""
    return NAMESPACE if workload in GRANTS else workload


def statement_of(access: str) -> str:
    """`bus-publish` -> `BusPublish`: an IAM statement's id takes letters and digits alone."""
    return "".join(word.capitalize() for word in access.split("-"))


def bucket_of(access: Access) -> tuple[str, str]:
    """`documents-read` -> (`documents`, `read`)."""
    bucket, _, mode = access.value.rpartition("-")
    return bucket, mode
