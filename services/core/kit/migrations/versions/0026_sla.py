"""SLA policies as data, and which tickets have been told to be at risk."""

from alembic import op

revision = "0026"
down_revision = "0025"

STATEMENTS = """
create table sla_rules (                         -- contracts.sla.SlaRules; the newest holds, the older say what was
    id    bigint generated always as identity primary key,
    rules jsonb       not null,
    by    text        not null,
    at    timestamptz not null default now()
);
create table sla_alerts (                        -- told once for each ticket and target: ids and times alone
    ticket_id    bigint           not null references tickets on delete cascade,
    target_hours double precision not null,
    "group"      text,
    priority     text,
    due_at       timestamptz      not null,
    at           timestamptz      not null default now(),
    primary key (ticket_id, target_hours)
);
create index sla_alerts_by_time on sla_alerts (at);
create index tickets_unsolved on tickets (created_at) where status in ('new', 'open', 'pending');
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
