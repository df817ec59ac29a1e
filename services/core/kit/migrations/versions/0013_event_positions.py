"""How far the audit log has been told to other systems."""

from alembic import op

revision = "0013"
down_revision = "0012"

STATEMENTS = """
create table event_positions (
    name text   primary key,
    seq  bigint not null
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
