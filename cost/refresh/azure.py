"""The Azure Retail Prices API: public, paged, with rows of Windows, spot and reservations among the wanted ones."""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import httpx

from cost.refresh.queries import Query
from cost.refresh.quote import Rate
from services.core.kit.errors import Unavailable

PAGES_MAX = 20
API_VERSION = "2023-01-01-preview"
MEASURE = re.compile(r"^(\d+)([KM]?)\b")
FACTORS = {"": 1, "K": 1_000, "M": 1_000_000}


class AzurePrices:
    source = "azure-retail-prices"

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self.url, self.timeout_s = url, timeout_s

    def rates(self, query: Query) -> Sequence[Rate]:
        """
        Rates of one row, per natural unit; empty when nothing fits.

        Raises:
            Unavailable: the interface does not answer, or answers nonsense.
        """
        wants_spot = bool(query.ask.get("spot"))
        items = [item for item in self._items(query) if _is_wanted(item, wants_spot=wants_spot)]
        rates = {_rate(item) for item in items}
        return sorted(rates, key=lambda rate: rate.start)

    def _items(self, query: Query) -> Iterable[dict[str, Any]]:
        link: str | None = self.url
        asked: dict[str, str] | None = {
            "api-version": API_VERSION,
            "currencyCode": "'USD'",
            "$filter": query.ask["filter"],
        }
        for _ in range(PAGES_MAX):
            page = self._get(link, asked, query.key)
            yield from page["Items"]
            link, asked = page.get("NextPageLink"), None
            if not link:
                return

    def _get(self, link: str | None, asked: dict[str, str] | None, key: str) -> dict[str, Any]:
        if urlsplit(link or "").hostname != urlsplit(self.url).hostname:
            raise Unavailable(f"The next page of {key} is on another host: {link}. Not followed.")
        try:
            # floats of JSON would round: numbers stay text until they are Decimals
            answer = httpx.get(str(link), params=asked, timeout=self.timeout_s).raise_for_status()
            return _parsed(answer)
        except (httpx.HTTPError, ValueError, KeyError) as exc:
            raise Unavailable(f"{self.url} does not answer for {key}: {exc}. Try again later.") from exc


def _parsed(answer: httpx.Response) -> dict[str, Any]:
    import json

    page = json.loads(answer.text, parse_float=Decimal)
    page["Items"]  # KeyError: not the interface we know
    return page


def _is_wanted(item: dict[str, Any], *, wants_spot: bool) -> bool:
    names = f"{item.get('skuName', '')} {item.get('meterName', '')}"
    is_spot = "Spot" in names
    is_odd = "Low Priority" in names or str(item.get("productName", "")).endswith("Windows")
    is_listed = item.get("type") == "Consumption" and item.get("isPrimaryMeterRegion", True)
    return is_listed and not is_odd and is_spot == wants_spot


def _rate(item: dict[str, Any]) -> Rate:
    """`10K` at 0.05 is 0.000005 each; tiers are given in the same measure."""
    found = MEASURE.match(str(item["unitOfMeasure"]).replace(" ", ""))
    measure = Decimal(int(found[1]) * FACTORS[found[2]] if found else 1)
    return Rate(Decimal(item["tierMinimumUnits"]) * measure, Decimal(item["retailPrice"]) / measure)
