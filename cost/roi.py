"""What the platform saves against what it costs, and its cost per resolution beside the published ones."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from cost.book import read_yaml
from cost.estimate import Estimate
from cost.scenario import Roi
from cost.usage import Assumptions

PUBLISHED = Path(__file__).with_name("published.yaml")
MINUTES_PER_HOUR = Decimal(60)


@dataclass(frozen=True)
class Return:
    """
    One month. `cost_usd` is the cloud's bill and the labour to run the platform. A resolution is a chat that ended
    without a ticket; all of the cost is charged to it.
    """

    tickets: int
    hours_saved: Decimal
    saved_usd: Decimal
    cloud_usd: Decimal
    labour_usd: Decimal
    resolutions: Decimal
    usd_per_resolution: Decimal | None

    @property
    def cost_usd(self) -> Decimal:
        return self.cloud_usd + self.labour_usd

    @property
    def net_usd(self) -> Decimal:
        return self.saved_usd - self.cost_usd

    @property
    def ratio(self) -> Decimal:
        """USD saved per USD spent."""
        return self.saved_usd / self.cost_usd


@dataclass(frozen=True)
class Published:
    """A figure that somebody else gives, in USD per `per`; `as_of` None: its page bears no date."""

    name: str
    per: str
    low_usd: Decimal
    high_usd: Decimal
    as_of: dt.date | None
    source: str
    scope: str


def returns(estimate: Estimate, assumed: Assumptions, roi: Roi) -> Return:
    """Minutes of agents saved by right decisions and deflected chats, less those of wrong ones. Labour is a cost."""
    tickets = Decimal(estimate.tickets_per_month)
    decided = tickets * roi.automation_share
    right, wrong = decided * (1 - roi.correction_share), decided * roi.correction_share
    resolutions = tickets * assumed["chats_per_ticket"] * roi.deflection_share
    minutes = (
        right * roi.minutes_saved_per_ticket - wrong * roi.correction_minutes + resolutions * roi.resolution_minutes
    )
    hours = minutes / MINUTES_PER_HOUR
    labour = roi.run_hours_per_month * roi.engineer_usd_per_hour
    return Return(
        tickets=estimate.tickets_per_month,
        hours_saved=hours,
        saved_usd=hours * roi.agent_usd_per_hour,
        cloud_usd=estimate.monthly_usd,
        labour_usd=labour,
        resolutions=resolutions,
        usd_per_resolution=(estimate.monthly_usd + labour) / resolutions if resolutions else None,
    )


@cache
def published() -> Sequence[Published]:
    """Published figures, with where and when they were read."""
    return tuple(_published(row) for row in read_yaml(PUBLISHED)["published"])


def _published(row: dict[str, Any]) -> Published:
    low, high = Decimal(row["low_usd"]), Decimal(row["high_usd"])
    return Published(row["name"], row["per"], low, high, row.get("as_of"), row["source"], row["scope"])
