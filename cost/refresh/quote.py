"""What a price interface answered for one row: rates by tier, in the row's unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from cost.book import ZERO, Tier


@dataclass(frozen=True)
class Rate:
    """From `start` natural units a month on, one natural unit costs `usd`."""

    start: Decimal
    usd: Decimal


def tiers(rates: Sequence[Rate], per: Decimal) -> tuple[Tier, ...]:
    """Rates in the unit of a price row (per 1,000 requests, per million tokens); a leading zero is an allowance."""
    ordered = sorted(rates, key=lambda rate: rate.start)
    found = tuple(
        Tier(rate.start / per, rate.usd * per, free=rate.usd == ZERO and rate.start == ZERO and len(ordered) > 1)
        for rate in ordered
    )
    return _merged(found)


def _merged(found: tuple[Tier, ...]) -> tuple[Tier, ...]:
    """Neighbours of one price are one tier."""
    kept: list[Tier] = []
    for tier in found:
        if not kept or kept[-1].usd != tier.usd:
            kept.append(tier)
    return tuple(kept)
