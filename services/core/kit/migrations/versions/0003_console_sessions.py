"""Sessions of the console: one-time links, and keys that end by themselves and with the key that opened them."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = """
alter table api_keys add column expires_at timestamptz, add column opened_by text references api_keys (id);
create table console_links (
    secret_hash text        primary key,
    opened_by   text        not null references api_keys (id) on delete cascade,
    expires_at  timestamptz not null
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
