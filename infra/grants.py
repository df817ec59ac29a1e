"""Who may do what, as data. Each cloud turns an access into its own words; nothing else is ever granted."""

from enum import StrEnum


class Access(StrEnum):
    DATABASE = "database"
    DATABASE_ADMIN = "database-admin"
    SECRETS_READ = "secrets-read"
    DOCUMENTS_READ = "documents-read"
    DOCUMENTS_WRITE = "documents-write"
    MODELS_READ = "models-read"
    MODELS_WRITE = "models-write"
    LAKE_READ = "lake-read"
    LAKE_WRITE = "lake-write"
    BUS_PUBLISH = "bus-publish"
    LLM_INVOKE = "llm-invoke"


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
    "rag": frozenset({Access.DATABASE, Access.DOCUMENTS_READ, Access.LLM_INVOKE}),
    "trainer": frozenset({Access.DATABASE, Access.MODELS_WRITE, Access.LAKE_READ}),
    "migrator": frozenset({Access.DATABASE, Access.DATABASE_ADMIN}),
}
NODE_GRANTS: frozenset[Access] = frozenset().union(*GRANTS.values())
"""What the one node of `small` holds: pods there share its identity (design/adr/0052)."""

NAMESPACE = "pointsman"


def writes(access: Access) -> bool:
    return access.value.endswith("-write")
