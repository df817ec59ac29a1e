"""
Price books: dated facts with a source, read from prices/<cloud>.yaml into frozen values.

A row may be computed from others (`of` a row `times` or `less` a share), so that a fact stands in one place only.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from services.core.kit.errors import ConfigurationInvalid

PRICES = Path(__file__).with_name("prices")
CLOUDS = ("aws", "azure", "gcp")
STALE_AFTER = dt.timedelta(days=365)
MAX_DEPTH = 3  # a computed row of a computed row is enough
ZERO, ONE = Decimal(0), Decimal(1)


class PriceUnknown(ConfigurationInvalid):
    """The message names the row and the file it belongs in."""


@dataclass(frozen=True)
class Tier:
    """From `start` units a month on, a unit costs `usd`; `free` marks an allowance that others may have used up."""

    start: Decimal
    usd: Decimal
    free: bool = False


@dataclass(frozen=True)
class Price:
    """One meter; USD before tax. A natural number divided by `per` is `unit`s. `region`: read for another one."""

    key: str
    unit: str
    per: Decimal
    tiers: tuple[Tier, ...]
    source: str
    url: str
    as_of: dt.date
    secondary: bool = False
    region: str | None = None
    note: str = ""
    gap: str = ""

    @property
    def usd(self) -> Decimal:
        """The price of the first unit that is not free."""
        return next((tier.usd for tier in self.tiers if not tier.free), ZERO)

    def is_stale(self, today: dt.date) -> bool:
        return today - self.as_of > STALE_AFTER

    def without_allowance(self) -> "Price":
        """As if the free units were used up by others of the same account."""
        paid = [tier for tier in self.tiers if not tier.free]
        if not paid or len(paid) == len(self.tiers):
            return self
        return replace(self, tiers=(replace(paid[0], start=ZERO), *paid[1:]))


@dataclass(frozen=True)
class PriceBook:
    cloud: str
    region: str
    prices: Mapping[str, Price]
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __contains__(self, key: str) -> bool:
        return key in self.prices

    def __getitem__(self, key: str) -> Price:
        if key not in self.prices:
            raise PriceUnknown(
                f"The price book of {self.cloud} has no row {key!r}. Add it with source and date to "
                f"cost/prices/{self.cloud}.yaml, or choose something that it prices."
            )
        return self.prices[key]

    def without_allowances(self) -> "PriceBook":
        return replace(self, prices={key: price.without_allowance() for key, price in self.prices.items()})

    def with_prices(self, overrides: Mapping[str, Decimal], *, today: dt.date) -> "PriceBook":
        """
        One's own contract prices instead of list prices, without tiers; they also fill gaps.

        Raises:
            PriceUnknown: an override names no row.
        """
        own = {key: self._own(self[key], usd, today) for key, usd in overrides.items()}
        return replace(self, prices={**self.prices, **own})

    @staticmethod
    def _own(price: Price, usd: Decimal, today: dt.date) -> Price:
        tiers = (Tier(ZERO, usd),)
        return replace(price, tiers=tiers, source="scenario", url="", as_of=today, secondary=False, note="", gap="")


@cache
def load_book(cloud: str, folder: Path = PRICES) -> PriceBook:
    """
    The price book of a cloud, every row checked.

    Raises:
        ConfigurationInvalid: no such cloud, or a row is wrong; the message names the row.
    """
    path = folder / f"{cloud}.yaml"
    if not path.is_file():
        raise ConfigurationInvalid(f"No price book for {cloud!r}. Known: {', '.join(CLOUDS)}")
    return parse_book(read_yaml(path))


def read_yaml(path: Path) -> Any:
    """YAML by the C parser where there is one: the books have some 200 rows."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe loaders


def parse_book(raw: Mapping[str, Any]) -> PriceBook:
    """A book from its plain data; computed rows are resolved."""
    sources, rows = raw["sources"], raw["prices"]
    prices: dict[str, Price] = {}
    for key in rows:
        prices[key] = _price(key, rows, sources, depth=0)
    return PriceBook(cloud=raw["cloud"], region=raw["region"], prices=prices, sources=sources)


def _price(key: str, rows: Mapping[str, Any], sources: Mapping[str, Any], *, depth: int) -> Price:
    if key not in rows or depth > MAX_DEPTH:
        raise ConfigurationInvalid(f"Price row {key!r} is missing or computed in a circle.")
    row = rows[key]
    if "of" in row:
        return _computed(key, row, lambda other: _price(other, rows, sources, depth=depth + 1))
    if row["source"] not in sources:
        raise ConfigurationInvalid(f"Price row {key!r}: source {row['source']!r} is not listed under `sources`.")
    source = sources[row["source"]]
    return Price(
        key=key,
        unit=row["unit"],
        per=Decimal(row.get("per", 1)),
        tiers=_tiers(key, row),
        source=row["source"],
        url=source["url"],
        as_of=row.get("as_of", source["as_of"]),
        secondary=row.get("secondary", False),
        region=row.get("region"),
        note=row.get("note", ""),
        gap=row.get("gap", ""),
    )


def _computed(key: str, row: Mapping[str, Any], find: Any) -> Price:
    base = find(row["of"])
    share = find(row["times"]) if "times" in row else find(row["less"])
    factor = share.usd if "times" in row else ONE - share.usd
    return replace(
        base,
        key=key,
        tiers=tuple(replace(tier, usd=tier.usd * factor) for tier in base.tiers),
        source=f"{base.source} x {share.source}",
        as_of=min(base.as_of, share.as_of),
        secondary=base.secondary or share.secondary,
        region=share.region or base.region,
        note=row.get("note", share.note),
    )


def _tiers(key: str, row: Mapping[str, Any]) -> tuple[Tier, ...]:
    if "gap" in row:
        return (Tier(ZERO, ZERO),)
    plain: list[dict[str, Any]] = row.get("tiers") or [{"from": "0", "price": row.get("price")}]
    try:
        tiers = tuple(Tier(Decimal(t["from"]), Decimal(t["price"]), t.get("free", False)) for t in plain)
    except (InvalidOperation, TypeError, ValueError) as exc:
        raise ConfigurationInvalid(f'Price row {key!r}: prices are quoted decimals, such as "0.023".') from exc
    starts = [tier.start for tier in tiers]
    if starts[0] != ZERO or starts != sorted(set(starts)) or any(tier.usd < ZERO for tier in tiers):
        raise ConfigurationInvalid(f"Price row {key!r}: tiers start at 0 and rise, prices are not negative.")
    return tiers
