"""What is watched for as data, each day's look for drift, and what it found, once each."""

from alembic import op

revision = "0027"
down_revision = "0026"

STATEMENTS = """
create table watch_rules (                       -- contracts.drift.DriftRules; the newest of a kind holds
    id    bigint generated always as identity primary key,
    kind  text        not null check (kind in ('drift', 'surge')),
    rules jsonb       not null,
    by    text        not null,
    at    timestamptz not null default now()
);
create index watch_rules_newest on watch_rules (kind, id desc);
create table drift_reports (                     -- contracts.drift.DriftReport: numbers, groups, ids of tickets
    day    date        primary key,
    report jsonb       not null,
    at     timestamptz not null default now()
);
create table drift_findings (                    -- a shift is news once, however many days it lasts
    kind   text             not null,
    since  date             not null,
    effect double precision not null,
    p      double precision not null,
    at     timestamptz      not null default now(),
    primary key (kind, since)
);
create index drift_findings_by_time on drift_findings (at);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
