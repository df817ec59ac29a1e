"""For how long what people wrote is kept is a rule, too."""

from alembic import op

revision = "0031"
down_revision = "0030"

STATEMENTS = """
alter table watch_rules drop constraint watch_rules_kind_check;
alter table watch_rules add constraint watch_rules_kind_check check (kind in ('drift', 'surge', 'retention'));
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
