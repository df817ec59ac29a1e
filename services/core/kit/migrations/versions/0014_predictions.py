"""Answers of the prediction API, without their text, and what the right group was; decisions found by their time."""

from alembic import op

revision = "0014"
down_revision = "0013"

STATEMENTS = """
create table predictions (                       -- no text: nobody can be found in here, and nothing is learnt from it
    id            uuid        primary key,
    caller        text        not null,
    "group"       text,
    band          text        not null,
    confidence    real        not null,
    model_version text,
    at            timestamptz not null default now(),
    actual_group  text,
    actual_by     text,
    actual_at     timestamptz
);
create index predictions_by_time on predictions (at desc);
create index decisions_by_time on decisions (decided_at desc);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
