"""Whose a conversation might be, as the router says, and which support level that team is."""

from collections.abc import Sequence

import structlog

from services.core.contracts.prediction import Prediction
from services.core.kit.database import Pool, connection
from services.core.kit.errors import PointsmanError
from services.core.models.client import RouterClient
from services.core.models.texts import join_text

log = structlog.get_logger()

LEVEL = "select support_level from catalogue where kind = 'group' and name = %s and active"


async def suggest(router: RouterClient | None, words: Sequence[str]) -> Prediction | None:
    """Where the router would send redacted words; None when it does not answer: nobody waits for it."""
    if router is None:
        return None
    try:
        prediction, _ = await router.predict(join_text(words[0], "\n".join(words[1:])))
    except PointsmanError as exc:
        log.warning("rag.group.unknown", error=type(exc).__name__)
        return None
    return prediction


async def level_of(pool: Pool, group: str | None) -> int | None:
    """The team's support level; None when it has none, or nobody knows the team."""
    if not group:
        return None
    async with connection(pool) as conn:
        row = await (await conn.execute(LEVEL, (group,))).fetchone()
    return row["support_level"] if row else None
