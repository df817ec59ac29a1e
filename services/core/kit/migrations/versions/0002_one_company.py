"""One company, one database: the tenant goes out of every table, and the database gets its owner's name."""

from pathlib import Path

import sqlalchemy as sa
from alembic import context, op

from services.core.kit.errors import ConfigurationInvalid

revision = "0002"
down_revision = "0001"

TABLES = (
    *("deliveries", "tickets", "catalogue", "models", "api_keys", "audit", "history", "history_imports"),
    *("llm_calls", "llm_cache", "ticket_vectors", "desk_tickets"),
)
REMOVED = """
select audit_append('migration', 'tenancy.removed', 'platform', jsonb_build_object('tenant', cast(:name as text)))
"""


def upgrade() -> None:
    conn = op.get_bind()
    tenants = _tenants(conn)
    company = context.config.attributes["company"]
    _require_one(tenants, company)
    conn.exec_driver_sql(Path(__file__).with_suffix(".sql").read_text("utf-8").replace("%", "%%"))
    conn.execute(sa.text("insert into company (name) values (:name)"), {"name": company})
    if tenants:
        conn.execute(sa.text(REMOVED), {"name": company})


def _tenants(conn: sa.Connection) -> list[str]:
    every = " union ".join(f"select tenant from {table}" for table in TABLES)  # noqa: S608  # our own names
    return sorted(row[0] for row in conn.exec_driver_sql(every))


def _require_one(tenants: list[str], company: str) -> None:
    if len(tenants) > 1:
        raise ConfigurationInvalid(
            f"This database holds {len(tenants)} tenants ({', '.join(tenants)}), and a company has a database of its "
            "own now. Nothing was changed. Stop the containers and, for each tenant, run: pointsman database split "
            f"{tenants[0]} (it makes a database with that tenant's rows only; this one stays as it is)."
        )
    if tenants and tenants != [company]:
        raise ConfigurationInvalid(
            f"This database belongs to '{tenants[0]}', and '{company}' was to migrate it. Nothing was changed. "
            f"Set POINTSMAN_COMPANY={tenants[0]}, or POINTSMAN_DATABASE_URL to the database of '{company}'."
        )
