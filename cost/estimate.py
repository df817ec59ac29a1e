"""
The engine: meters and prices in, lines out. Pure Decimal functions.

A line is quantity x unit price = amount, rounded to a millionth of a dollar; totals are sums of lines. Tiers are used
up in the order of the lines, so that a meter that occurs twice gets its free allowance once.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from cost.book import ONE, ZERO, Price, PriceBook
from cost.meter import Meter

MICRO_USD = Decimal("0.000001")


@dataclass(frozen=True)
class Line:
    """One row of a bill. `gap` is set when it is charged but no price with a source is known: amount 0."""

    capability: str
    item: str
    quantity: Decimal
    unit: str
    unit_usd: Decimal
    amount_usd: Decimal
    fixed: bool
    price: str
    source: str
    as_of: dt.date
    url: str = ""
    stale: bool = False
    secondary: bool = False
    gap: str = ""
    region: str | None = None
    committable: bool = False

    @property
    def marks(self) -> str:
        """What every output shows beside a price that is old, second-hand, of another region or missing."""
        marks = [("stale", self.stale), ("secondary", self.secondary), ("no price", bool(self.gap))]
        return ", ".join([*(name for name, is_set in marks if is_set), *filter(None, [self.region])])


@dataclass(frozen=True)
class Estimate:
    """What one stack costs in one month at one volume; `notes` say what the figure does not."""

    cloud: str
    profile: str
    tickets_per_month: int
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    @property
    def monthly_usd(self) -> Decimal:
        return sum((line.amount_usd for line in self.lines), ZERO)

    @property
    def fixed_usd(self) -> Decimal:
        return sum((line.amount_usd for line in self.lines if line.fixed), ZERO)

    @property
    def usd_per_ticket(self) -> Decimal | None:
        """None without tickets."""
        return self.monthly_usd / self.tickets_per_month if self.tickets_per_month else None

    @property
    def gaps(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(f"{line.item}: {line.gap}" for line in self.lines if line.gap))

    def by_capability(self) -> dict[str, Decimal]:
        totals: dict[str, Decimal] = {}
        for line in self.lines:
            totals[line.capability] = totals.get(line.capability, ZERO) + line.amount_usd
        return totals


def lines_of(
    meters: Iterable[tuple[str, Meter]], book: PriceBook, *, today: dt.date, commitment: str | None = None
) -> tuple[Line, ...]:
    """
    The bill of (capability, meter) pairs: like meters merged, fixed ones first, tiers applied.

    Args:
        commitment: key of a discount row that machines running all month get, such as `discount.commitment_3y`.
    """
    used: dict[str, Decimal] = {}
    lines: list[Line] = []
    for capability, meter in _merged(meters):
        price = book[meter.price]
        start = used.get(price.key, ZERO)
        end = start + meter.quantity / price.per
        used[price.key] = end
        factor = ONE - book[commitment].usd if commitment and meter.committable else ONE
        lines += [
            _line(capability, meter, price, part, today=today, factor=factor) for part in brackets(price, start, end)
        ]
    return tuple(lines)


def brackets(price: Price, start: Decimal, end: Decimal) -> list[tuple[Decimal, Decimal]]:
    """Units from `start` to `end` as (quantity, price of a unit), one pair per tier that is touched."""
    tops = [tier.start for tier in price.tiers[1:]] + [end.max(price.tiers[-1].start)]
    pairs = [(min(end, top) - max(start, tier.start), tier.usd) for tier, top in zip(price.tiers, tops, strict=True)]
    return [pair for pair in pairs if pair[0] > ZERO]


def amount(price: Price, quantity: Decimal) -> Decimal:
    """What `quantity` units of a month cost by themselves, rounded to a millionth of a dollar."""
    return sum((_rounded(units * usd) for units, usd in brackets(price, ZERO, quantity)), ZERO)


def _merged(meters: Iterable[tuple[str, Meter]]) -> Sequence[tuple[str, Meter]]:
    """Five like log groups are one line; fixed lines come first, so that use never changes what they cost."""
    merged: dict[tuple[object, ...], tuple[str, Meter]] = {}
    for capability, meter in meters:
        if not meter.quantity:
            continue
        key = (capability, meter.price, meter.item, meter.fixed, meter.committable)
        if key in merged:
            meter = replace(meter, quantity=merged[key][1].quantity + meter.quantity)
        merged[key] = (capability, meter)
    return sorted(merged.values(), key=lambda pair: not pair[1].fixed)


def _line(
    capability: str,
    meter: Meter,
    price: Price,
    part: tuple[Decimal, Decimal],
    *,
    today: dt.date,
    factor: Decimal,
) -> Line:
    quantity, usd = part[0], part[1] * factor
    is_free = usd == ZERO and price.usd > ZERO
    return Line(
        capability=capability,
        item=f"{meter.item}, free allowance" if is_free else meter.item,
        quantity=quantity,
        unit=price.unit,
        unit_usd=usd,
        amount_usd=_rounded(quantity * usd),
        fixed=meter.fixed,
        price=price.key,
        source=price.source,
        as_of=price.as_of,
        url=price.url,
        stale=price.is_stale(today),
        secondary=price.secondary,
        gap=price.gap,
        region=price.region,
        committable=meter.committable,
    )


def _rounded(usd: Decimal) -> Decimal:
    return usd.quantize(MICRO_USD, rounding=ROUND_HALF_UP)
