"""
Letters that a person was faster than, strikes against a letter, how a ticket was last read, how often it was solved,
and how far each polled system has been heard.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

STATEMENTS = """
alter table outbox drop constraint outbox_state_check;
alter table outbox add constraint outbox_state_check check (state in ('pending', 'sent', 'superseded', 'dead'));
alter table outbox add column strikes int not null default 0;
create index outbox_lanes on outbox (connector, due_at) where state = 'pending';
drop index outbox_due;

alter table tickets add column seen jsonb;
alter table tickets add column solvings int not null default 0;

create table positions (
    connector text        primary key,
    at        timestamptz not null,
    last_id   text        not null default '',
    read_at   timestamptz not null default now()
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
