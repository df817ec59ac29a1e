"""Notices: letters to people's channels, what each channel has been told, and the rejected models among the audit."""

from alembic import op

revision = "0015"
down_revision = "0014"

STATEMENTS = """
alter table outbox drop constraint outbox_kind_check;
alter table outbox add constraint outbox_kind_check check (kind in ('write', 'event', 'notice'));

create table notice_channels (
    channel text        primary key,
    since   timestamptz not null default now(),  -- of what happened before, it is not told
    last_at timestamptz
);
create table notices_told (
    channel text        not null,
    key     text        not null,
    at      timestamptz not null default now(),
    primary key (channel, key)
);
create index notices_told_by_time on notices_told (at);
create index audit_rejected on audit (at) where action = 'model.rejected';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
