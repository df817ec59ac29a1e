"""Vectors of what came lately, and incidents that were suggested of alike tickets."""

from alembic import op

revision = "0028"
down_revision = "0027"

STATEMENTS = """
create table arrivals (                          -- what surges are found in; forgotten after the rules' past_days
    ticket_id     bigint      primary key references tickets on delete cascade,
    model_version text        not null,
    embedding     halfvec(384),                  -- null: the model gives none, or reads no such text
    at            timestamptz not null           -- when the ticket was taken in
);
create index arrivals_by_time on arrivals (at);
create table incidents (                         -- a suggestion: one for each surge
    id         bigint generated always as identity primary key,
    state      text             not null default 'suggested' check (state in ('suggested', 'confirmed', 'dismissed')),
    expected   double precision not null,
    p          double precision not null,
    at         timestamptz      not null default now(),
    grown_at   timestamptz      not null default now(),
    closed_by  text,
    closed_at  timestamptz
);
create index incidents_by_time on incidents (at);
create table incident_tickets (
    incident_id bigint not null references incidents on delete cascade,
    ticket_id   bigint not null references tickets on delete cascade,
    primary key (incident_id, ticket_id)
);
create index incident_tickets_of_ticket on incident_tickets (ticket_id);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
