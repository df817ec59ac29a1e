"""What a candidate would have answered to live tickets, beside what the champion did, and what became of it."""

from alembic import op

revision = "0021"
down_revision = "0020"

STATEMENTS = """
alter table models add column canary jsonb;      -- champion, since, state (running, promoted, dropped), reason

create table canary_answers (
    version        text        not null references models on delete cascade,
    ticket_id      bigint      not null references tickets on delete cascade,
    "group"        text        not null,
    champion_group text        not null,
    at             timestamptz not null default now(),
    primary key (version, ticket_id)
);
create index canary_answers_of_ticket on canary_answers (ticket_id);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
