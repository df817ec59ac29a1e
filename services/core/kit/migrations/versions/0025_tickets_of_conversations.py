"""A conversation may have several tickets, one after the other: an erasure finds it by each of them."""

from alembic import op

revision = "0025"
down_revision = "0024"

STATEMENTS = """
create index session_events_ticket on session_events ((detail ->> 'ticket')) where kind = 'ticket_opened';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
