"""What each model was asked before it served, which texts it learnt from, and which of these were erased since."""

from alembic import op

revision = "0019"
down_revision = "0018"

STATEMENTS = """
alter table models
    add column gates jsonb not null default '[]',
    add column text_keys bigint[] not null default '{}',    -- services.core.models.texts.text_key, signed
    add column erased_keys bigint[] not null default '{}';  -- those of them whose ticket was erased
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
