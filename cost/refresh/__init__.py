"""Updates a price book from the cloud's own interface: what changed, what jumped, what was not found."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from cost.book import PRICES, ZERO, Price, PriceBook, Tier, load_book, parse_book, read_yaml
from cost.refresh.aws import AwsPrices
from cost.refresh.azure import AzurePrices
from cost.refresh.book_file import rewrite
from cost.refresh.gcp import GcpPrices
from cost.refresh.queries import Query, queries
from cost.refresh.quote import Rate, tiers
from cost.refresh.settings import RefreshSettings
from services.core.kit.errors import ConfigurationInvalid, InputInvalid

JUMP = Decimal("0.5")


class Prices(Protocol):
    """A cloud's price interface."""

    source: str
    url: str

    def rates(self, query: Query) -> Sequence[Rate]: ...


@dataclass(frozen=True)
class Change:
    """One row before and after; `share` is the change of its first paid tier."""

    key: str
    was: Price
    now: tuple[Tier, ...]

    @property
    def share(self) -> Decimal:
        before, after = self.was.usd, _paid(self.now)
        return (after - before) / before if before else ZERO

    @property
    def is_jump(self) -> bool:
        """More than half up or down, or from or to nothing: more often a wrong question than a new price."""
        return abs(self.share) > JUMP or bool(self.was.usd) != bool(_paid(self.now))

    @property
    def is_moved(self) -> bool:
        return [(t.start, t.usd) for t in self.now] != [(t.start, t.usd) for t in self.was.tiers]

    def as_row(self) -> list[str]:
        mark = "jump" if self.is_jump else "" if self.is_moved else "same"
        return [
            self.key,
            f"{self.was.usd.normalize():f}",
            f"{_paid(self.now).normalize():f}",
            f"{self.share:+.1%}",
            mark,
        ]


@dataclass(frozen=True)
class Result:
    """`refused` rows jumped and nothing was written; `missing` were asked and not found, with the reason."""

    changes: tuple[Change, ...]
    missing: dict[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    written: bool = False

    @property
    def moved(self) -> int:
        return sum(change.is_moved for change in self.changes)


def refresh_book(
    cloud: str,
    *,
    today: dt.date,
    settings: RefreshSettings | None = None,
    prices: Prices | None = None,
    folder: Path = PRICES,
    write: bool = False,
    accept: bool = False,
) -> Result:
    """
    Ask for every row that a question is known for, compare, and write when told to.

    Args:
        prices: the interface to ask; built from the settings when left out.
        accept: write rows too that jumped by more than half.
    Raises:
        ConfigurationInvalid: no such cloud, or it refuses us. Unavailable: it does not answer.
    """
    load_book(cloud, folder)  # names a wrong cloud or a broken book first
    path = folder / f"{cloud}.yaml"
    raw = read_yaml(path)
    book, plain = parse_book(raw), [key for key, row in raw["prices"].items() if "of" not in row]
    interface = prices or _interface(cloud, book, settings or RefreshSettings(), today)
    changes, missing = _ask(interface, book, queries(cloud, plain, book.region))
    refused = tuple(change.key for change in changes if change.is_jump) if not accept else ()
    if write and not refused:
        rewrite(path, {change.key: change.now for change in changes}, interface.source, interface.url, today)
        load_book.cache_clear()
    return Result(changes, missing, refused, written=write and not refused)


def _ask(interface: Prices, book: PriceBook, asked: Sequence[Query]) -> tuple[tuple[Change, ...], dict[str, str]]:
    changes, missing = [], {}
    for query in asked:
        rates = interface.rates(query)
        starts = [rate.start for rate in rates]
        if not rates:
            missing[query.key] = "no price fits the question in cost/refresh/queries.yaml"
        elif len(set(starts)) != len(starts):
            missing[query.key] = f"{len(rates)} prices fit; make the question narrower in cost/refresh/queries.yaml"
        else:
            changes.append(Change(query.key, book[query.key], tiers(rates, book[query.key].per)))
    return tuple(changes), missing


def _interface(cloud: str, book: PriceBook, settings: RefreshSettings, today: dt.date) -> Prices:
    if cloud == "aws":
        return AwsPrices.build(book.region, today)
    if cloud == "azure":
        return AzurePrices(settings.azure_url, timeout_s=settings.timeout_s)
    if cloud != "gcp":
        raise InputInvalid(f"No price interface is known for {cloud!r}.")
    if settings.gcp_api_key is None:
        raise ConfigurationInvalid(
            "Google's catalogue wants a key. Example: POINTSMAN_COST_GCP_API_KEY=AIza... pointsman cost refresh gcp"
        )
    key = settings.gcp_api_key.get_secret_value()
    return GcpPrices(settings.gcp_url, key, region=book.region, timeout_s=settings.timeout_s)


def _paid(found: tuple[Tier, ...]) -> Decimal:
    return next((tier.usd for tier in found if not tier.free), ZERO)
