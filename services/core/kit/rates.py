"""How often: calls per name and minute, and which keys are known when wrong ones come in floods. Bounded in memory."""

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Mapping

from services.core.kit.database import Pool, connection
from services.core.kit.errors import RateLimited
from services.core.kit.security import holds, secret_hashes

MINUTE_S = 60
NAMES_MAX = 10_000  # about 1 MB; what comes beyond shares one count
OTHERS = "others"
RING_AGE_S = 1.0  # a new key is known this soon even where its address is flooded with wrong ones


class RateGate:
    """Counts calls per name and minute in this process; behind several replicas each has its own count."""

    def __init__(self, per_minute: int, *, of: str = "calls", clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._of = of
        self._clock = clock
        self._minute = 0
        self._counts: Counter[str] = Counter()

    def pass_or_refuse(self, name: str) -> None:
        """
        Raises:
            RateLimited: too many calls under `name` in this minute.
        """
        name = self._counted_as(name)
        self._counts[name] += 1
        if self._counts[name] > self._per_minute:
            wait_s = MINUTE_S - int(self._clock()) % MINUTE_S
            raise RateLimited(f"More than {self._per_minute} {self._of} in a minute. Slow down.", retry_after_s=wait_s)

    def is_over(self, name: str) -> bool:
        """Whether `pass_or_refuse` would refuse."""
        return self._counts[self._counted_as(name)] >= self._per_minute

    def _counted_as(self, name: str) -> str:
        minute = int(self._clock()) // MINUTE_S
        if minute != self._minute:
            self._minute, self._counts = minute, Counter()
        return name if name in self._counts or len(self._counts) < NAMES_MAX else OTHERS


class KeyRing:
    """A copy of the valid keys' hashes: telling wrong keys apart then costs one query a second, however many come."""

    def __init__(self, pool: Pool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._lock = asyncio.Lock()
        self._copied_at = float("-inf")
        self._hashes: Mapping[str, str] = {}

    async def has(self, key: str) -> bool:
        async with self._lock:
            if self._clock() - self._copied_at > RING_AGE_S:
                async with connection(self._pool) as conn:
                    self._hashes = await secret_hashes(conn)
                self._copied_at = self._clock()
        return holds(self._hashes, key)

    def outdate(self) -> None:
        """A key or session was made here: the next question copies them anew."""
        self._copied_at = float("-inf")


def network(address: str) -> str:
    """What is counted for an address: itself, of IPv6 the /64 that one subscriber has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))
