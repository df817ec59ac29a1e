"""An import that reads by cursor keeps it beside its position."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.get_bind().exec_driver_sql("alter table history_imports add column cursor text")
