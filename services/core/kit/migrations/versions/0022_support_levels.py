"""Teams get a support level; which conversations a case is made of, so that an erasure reaches merged ones."""

from alembic import op

revision = "0022"
down_revision = "0021"

STATEMENTS = """
alter table catalogue add column support_level smallint check (support_level between 1 and 3);

create table case_parts (                     -- the case that a conversation's resolution went into
    session_id uuid primary key references sessions on delete cascade,
    uri        text not null
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
