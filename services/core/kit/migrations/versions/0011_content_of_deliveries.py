"""A delivery keeps the hash of what it said: a signed id that comes again with other content is told apart."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.get_bind().exec_driver_sql("alter table deliveries add column content_sha256 text")
