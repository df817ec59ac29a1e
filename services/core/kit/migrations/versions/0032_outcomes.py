"""What an import says became of a ticket beside its group: hours, impact, urgency, whether its target was missed."""

from alembic import op

revision = "0032"
down_revision = "0031"

STATEMENTS = """
alter table history add column outcome jsonb not null default '{}';  -- core/text/outcomes.py: no words but ours
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
