"""The functions of the audit log run with their owner's rights again: replacing one had made it the caller's."""

from alembic import op

revision = "0012"
down_revision = "0011"

STATEMENTS = """
alter function audit_append(text, text, text, jsonb) security definer set search_path = pg_catalog, public, pg_temp;
alter function audit_link(int) security definer set search_path = pg_catalog, public, pg_temp;
revoke execute on function audit_append(text, text, text, jsonb) from public;
revoke execute on function audit_link(int) from public;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
