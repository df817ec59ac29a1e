"""The catalogue's groups become teams: whose, for which system, and from which priority on they get tickets."""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS = """
alter table catalogue
    add column department         text not null default '',
    add column system             text not null default '',
    add column priority_threshold text check (priority_threshold in ('low', 'normal', 'high', 'urgent'));
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
