"""The first schema: each part's tables lie in a SQL file of their own beside `versions/`."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

PARTS = ("spine_tables", "audit", "desk_tables", "llm_tables", "search_tables", "history_tables")


def upgrade() -> None:
    op.execute("create extension if not exists vector")
    folder = Path(__file__).parents[1]
    for part in PARTS:
        op.get_bind().exec_driver_sql((folder / f"{part}.sql").read_text("utf-8").replace("%", "%%"))
