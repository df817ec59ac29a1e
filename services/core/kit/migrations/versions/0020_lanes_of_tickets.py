"""What each worker finds silent, and letters that wait to read a ticket."""

from alembic import op

revision = "0020"
down_revision = "0019"

STATEMENTS = """
alter table executors add column silent jsonb not null default '{}';  -- system to since when it does not answer
alter table outbox drop constraint outbox_kind_check;
alter table outbox add constraint outbox_kind_check check (kind in ('write', 'event', 'notice', 'read'));
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
