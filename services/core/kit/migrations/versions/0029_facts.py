"""What is known of a ticket beside its text, for the heads beside the group; and why a ticket was noted as at risk."""

from alembic import op

revision = "0029"
down_revision = "0028"

STATEMENTS = """
alter table history add column categories jsonb not null default '{}';  -- contracts.facts: names to digests
alter table tickets add column categories jsonb not null default '{}';
alter table sla_alerts add column why text not null default '';         -- what was learnt of tickets like it
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
