"""What the worker's daily look for drift found, for the console's page."""

from collections.abc import Sequence
from datetime import date

from services.core.contracts.drift import DriftReport
from services.core.kit.database import Connection

DAYS_SHOWN = 30
REPORTS = """
select report from drift_reports where day <= coalesce(%(day)s::date, 'infinity') order by day desc limit %(most)s
"""
TITLES = "select id, subject from tickets where id = any(%s) and subject is not null"


async def reports(conn: Connection, *, until: date | None, most: int = DAYS_SHOWN) -> list[DriftReport]:
    """The newest first; a month of them."""
    rows = await (await conn.execute(REPORTS, {"day": until, "most": most})).fetchall()
    return [DriftReport.stored(row["report"]) for row in rows]


async def titles(conn: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Redacted subjects; a ticket that was erased has none."""
    return {row["id"]: row["subject"] for row in await (await conn.execute(TITLES, (list(ids),))).fetchall()}
