"""The Cloud Billing Catalog: a machine's price is the sum of its vCPU and memory SKUs."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import httpx

from cost.refresh.queries import Query
from cost.refresh.quote import Rate
from services.core.kit.errors import ConfigurationInvalid, Unavailable

PAGES_MAX = 20
NANOS = Decimal(10) ** 9


class GcpPrices:
    """A service's SKUs are read once and kept for the rows that follow."""

    source = "gcp-billing-catalog"

    def __init__(self, url: str, key: str, *, region: str, timeout_s: float) -> None:
        self.url, self.key, self.region, self.timeout_s = url, key, region, timeout_s
        self._skus: dict[str, list[dict[str, Any]]] = {}

    def rates(self, query: Query) -> Sequence[Rate]:
        """
        Rates of one row, per usage unit of its SKU; empty when a part of it is not listed.

        Raises:
            Unavailable: no answer. ConfigurationInvalid: the key is refused.
        """
        parts = query.ask["parts"]
        size = Decimal(query.ask.get("size", 1))
        found = [self._part(query.ask["service"], part) for part in parts]
        if not all(found):
            return []
        if len(found) == 1:
            return found[0]
        total = sum((rates[0].usd * part["each"] * size for rates, part in zip(found, parts, strict=True)), Decimal(0))
        return [Rate(Decimal(0), total)]

    def _part(self, service: str, part: dict[str, Any]) -> Sequence[Rate]:
        for sku in self._of(service):
            is_named = sku["description"].startswith(part["description"])
            is_here = self.region in sku["serviceRegions"] or "global" in sku["serviceRegions"]
            if is_named and is_here and sku["category"]["usageType"] == part["usage"]:
                return [_rate(tier) for tier in sku["pricingInfo"][-1]["pricingExpression"]["tieredRates"]]
        return []

    def _of(self, service: str) -> list[dict[str, Any]]:
        if service not in self._skus:
            self._skus[service] = list(self._read(service))
        return self._skus[service]

    def _read(self, service: str) -> Iterable[dict[str, Any]]:
        token = ""
        for _ in range(PAGES_MAX):
            page = self._get(service, token)
            yield from page.get("skus", [])
            token = page.get("nextPageToken", "")
            if not token:
                return

    def _get(self, service: str, token: str) -> dict[str, Any]:
        asked = {"currencyCode": "USD", "pageSize": "5000", **({"pageToken": token} if token else {})}
        address = f"{self.url}/services/{service}/skus"
        try:
            # The key goes into a header: addresses end up in logs.
            answer = httpx.get(address, params=asked, headers={"x-goog-api-key": self.key}, timeout=self.timeout_s)
            return answer.raise_for_status().json()
        except httpx.HTTPStatusError as exc:
            if exc.response.status_code in (400, 401, 403):
                raise ConfigurationInvalid(
                    f"Google refuses the key (HTTP {exc.response.status_code}). Give one of a project with the Cloud "
                    "Billing API in POINTSMAN_COST_GCP_API_KEY."
                ) from exc
            raise Unavailable(f"{address} answers HTTP {exc.response.status_code}. Try again later.") from exc
        except (httpx.HTTPError, ValueError) as exc:
            raise Unavailable(f"{address} does not answer: {type(exc).__name__}. Try again later.") from exc


def _rate(tier: dict[str, Any]) -> Rate:
    price = tier["unitPrice"]
    usd = Decimal(price.get("units") or 0) + Decimal(price.get("nanos") or 0) / NANOS
    return Rate(Decimal(str(tier["startUsageAmount"])), usd)
