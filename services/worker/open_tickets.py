"""How many tickets are open just now: a fact that the heads beside the group learn from."""

import time
from collections.abc import Callable

from services.core.kit.database import Pool, connection

KNOWN_AFTER_DAYS = 30  # what was opened before we listened is missing until then
LOOK_S = 60.0
LENGTH = """
select (select count(*) from tickets where status in ('new', 'open', 'pending')
        and created_at > now() - interval '1 year')::int as open
where (select created_at from tickets order by id limit 1) < now() - make_interval(days => %s)
"""


class OpenTickets:
    """Looked up once a minute; None while the database has not seen a month of them."""

    def __init__(self, pool: Pool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool, self._clock = pool, clock
        self._known: int | None = None
        self._looked_at = -LOOK_S

    async def count(self) -> int | None:
        now = self._clock()
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            async with connection(self._pool) as conn:
                row = await (await conn.execute(LENGTH, (KNOWN_AFTER_DAYS,))).fetchone()
            self._known = row["open"] if row else None
        return self._known
