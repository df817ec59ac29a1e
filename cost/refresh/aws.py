"""The AWS Price List and the spot price history, through boto3."""

import datetime as dt
import json
import statistics
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from cost.book import ZERO
from cost.refresh.queries import Query
from cost.refresh.quote import Rate
from services.core.kit.errors import ConfigurationInvalid, Unavailable

PAGE = 100  # the most that GetProducts gives
PAGES_MAX = 20
URL = "https://pricing.us-east-1.amazonaws.com"


class AwsPrices:
    """Asks with clients that are handed in; `build` makes them."""

    source = "aws-price-list"
    url = URL

    def __init__(self, pricing: Any, ec2: Any, *, today: dt.date) -> None:
        self.pricing, self.ec2, self.today = pricing, ec2, today

    @classmethod
    def build(cls, region: str, today: dt.date) -> "AwsPrices":
        """Price List clients exist in few regions; us-east-1 answers for all."""
        try:
            import boto3
        except ModuleNotFoundError as exc:
            raise ConfigurationInvalid("boto3 is not installed. Run: pip install 'pointsman[cost]'") from exc
        return cls(
            boto3.client("pricing", region_name="us-east-1"), boto3.client("ec2", region_name=region), today=today
        )

    def rates(self, query: Query) -> Sequence[Rate]:
        """
        Rates of one row, per natural unit; empty when nothing fits.

        Raises:
            Unavailable: AWS does not answer. ConfigurationInvalid: it refuses us.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._spot(query.ask["spot"]) if "spot" in query.ask else self._listed(query.ask)
        except ClientError as exc:
            raise ConfigurationInvalid(
                f"AWS refuses {query.key}: {exc.response['Error'].get('Code')}. The role needs pricing:GetProducts and "
                "ec2:DescribeSpotPriceHistory."
            ) from exc
        except BotoCoreError as exc:
            raise Unavailable(f"AWS does not answer for {query.key}: {exc}. Check credentials and network.") from exc

    def _listed(self, ask: dict[str, Any]) -> Sequence[Rate]:
        found = {rate for product in self._products(ask) for rate in _on_demand(json.loads(product))}
        paid = {rate for rate in found if rate.usd} or found  # a product may be listed again for free
        return sorted(paid, key=lambda rate: rate.start)

    def _products(self, ask: dict[str, Any]) -> Iterable[str]:
        filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in ask["filters"].items()]
        asked = {"ServiceCode": ask["service"], "FormatVersion": "aws_v1", "MaxResults": PAGE, "Filters": filters}
        for _ in range(PAGES_MAX):
            answer = self.pricing.get_products(**asked)
            yield from answer["PriceList"]
            if not answer.get("NextToken"):
                return
            asked = {**asked, "NextToken": answer["NextToken"]}

    def _spot(self, size: str) -> Sequence[Rate]:
        """The median of the zones: what a group that may choose among them pays at most."""
        now = dt.datetime.combine(self.today, dt.time(), tzinfo=dt.UTC)
        answer = self.ec2.describe_spot_price_history(
            InstanceTypes=[size], ProductDescriptions=["Linux/UNIX"], StartTime=now
        )
        newest: dict[str, Decimal] = {}
        for row in sorted(answer["SpotPriceHistory"], key=lambda row: row["Timestamp"]):
            newest[row["AvailabilityZone"]] = Decimal(row["SpotPrice"])
        return [Rate(ZERO, statistics.median(newest.values()))] if newest else []


def _on_demand(product: dict[str, Any]) -> Iterable[Rate]:
    for term in product["terms"].get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            if "USD" in dimension["pricePerUnit"]:
                yield Rate(Decimal(dimension["beginRange"]), Decimal(dimension["pricePerUnit"]["USD"]))
