"""Why the router thinks so, for tickets that wait for a person; answers that name no group; answers counted."""

from alembic import op

revision = "0023"
down_revision = "0022"

STATEMENTS = """
alter table reviews drop constraint reviews_state_check;
alter table reviews add constraint reviews_state_check
    check (state in ('open', 'accepted', 'corrected', 'no_group', 'not_a_ticket'));
alter table reviews add column answers int not null default 0;  -- how often people have answered: one may be undone
create index reviews_by_age on reviews (opened_at, ticket_id) where state = 'open';

create table review_reasons (                    -- made by the worker, anew for each model and text
    ticket_id     bigint      primary key references reviews on delete cascade,
    text_md5      text        not null,
    model_version text        not null,
    words         jsonb       not null,          -- group -> words of the redacted text without which it is less likely
    near          jsonb       not null,          -- [ref of ticket_vectors, cosine]: no text of another ticket is kept
    embedding     halfvec(384),
    place         int,                           -- in the order of information; null until it is reckoned
    made_at       timestamptz not null default now()
);
create index review_reasons_place on review_reasons (place) where place is not null;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
