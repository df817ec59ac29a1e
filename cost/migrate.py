"""Moving from one cloud to another: what it costs once, and the steps in order with their risk."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from cost.bill import assumptions_of, estimate
from cost.book import ZERO, load_book, read_yaml
from cost.estimate import Line, lines_of
from cost.meter import HOURS_PER_MONTH, Meter, fixed
from cost.scenario import Scenario
from cost.usage import demand
from infra.offline.report import StackPlan
from services.core.kit.errors import InputInvalid

STEPS = Path(__file__).with_name("migration.yaml")
EGRESS = {
    "aws": "network.egress_internet",
    "azure": "network.egress_internet",
    "gcp": "network.egress_internet_premium",
}
# Data leaves once as a first copy and once more in part: what changes until the switch. A tenth is the changes of the
# dual-running weeks for a database that keeps a year.
COPIED_TWICE = Decimal("0.1")
GPU = {"aws": "vm.g6.xlarge.on_demand", "azure": "vm.NC4as_T4_v3.on_demand", "gcp": "vm.g2-standard-4.on_demand"}
RETRAININGS = 2  # one to prove the data, one with the last weeks' tickets before the switch
HOURS_PER_DAY = 8
DAYS_PER_MONTH = HOURS_PER_MONTH / 24


@dataclass(frozen=True)
class Step:
    """One step of a move. `undo` says how one gets back; `days` are working days of one engineer."""

    order: int
    name: str
    how: str
    risk: str
    undo: str
    days: Decimal


@dataclass(frozen=True)
class Migration:
    """`once` are the cloud's charges of the move; labour is its days, at the scenario's price of an hour."""

    source: str
    target: str
    profile: str
    gb: Decimal
    weeks: Decimal
    tickets_per_month: int
    once: tuple[Line, ...]
    source_monthly_usd: Decimal
    target_monthly_usd: Decimal
    steps: tuple[Step, ...]
    engineer_usd_per_hour: Decimal

    @property
    def once_usd(self) -> Decimal:
        return sum((line.amount_usd for line in self.once), ZERO)

    @property
    def days(self) -> Decimal:
        return sum((step.days for step in self.steps), ZERO)

    @property
    def labour_usd(self) -> Decimal:
        return self.days * HOURS_PER_DAY * self.engineer_usd_per_hour

    @property
    def months_to_pay_back(self) -> Decimal | None:
        """Of charges and labour together. None when the target is not cheaper: money is then no reason to move."""
        saved = self.source_monthly_usd - self.target_monthly_usd
        return (self.once_usd + self.labour_usd) / saved if saved > ZERO else None


def migrate(
    source: StackPlan,
    target: StackPlan,
    gb: Decimal,
    *,
    tickets: int,
    weeks: Decimal,
    scenario: Scenario,
    today: dt.date,
) -> Migration:
    """
    The plan of a move of `gb` of data, with both clouds running for `weeks`.

    Raises:
        InputInvalid: the clouds are the same, or a number is negative.
    """
    if source.cloud == target.cloud:
        raise InputInvalid(f"--from and --to are both {source.cloud}. Choose two clouds.")
    if gb < ZERO or weeks <= ZERO:
        raise InputInvalid(f"--gb {gb} and --weeks {weeks}: give at least 0 GB and more than 0 weeks.")
    bills = {
        stack.cloud: estimate(stack, tickets, scenario=scenario, today=today).monthly_usd for stack in (source, target)
    }
    once = (
        *_egress(source.cloud, gb, today),
        _dual(target.cloud, bills[target.cloud], weeks, today),
        *_training(target, tickets, scenario, today),
    )
    return Migration(
        source=source.cloud,
        target=target.cloud,
        profile=source.profile,
        gb=gb,
        weeks=weeks,
        tickets_per_month=tickets,
        once=once,
        source_monthly_usd=bills[source.cloud],
        target_monthly_usd=bills[target.cloud],
        steps=steps(),
        engineer_usd_per_hour=scenario.roi.engineer_usd_per_hour,
    )


@cache
def steps() -> tuple[Step, ...]:
    """The steps in the order in which they are taken."""
    return tuple(_step(order, row) for order, row in enumerate(read_yaml(STEPS)["steps"], 1))


def _step(order: int, row: dict[str, Any]) -> Step:
    return Step(order, row["name"], row["how"], row["risk"], row["undo"], Decimal(str(row["days"])))


def _egress(cloud: str, gb: Decimal, today: dt.date) -> tuple[Line, ...]:
    """List price; a waiver for customers who leave is to be asked for, not counted on."""
    moved = gb * (1 + COPIED_TWICE)
    meter = fixed(EGRESS[cloud], "data out: first copy and changes", moved)
    return lines_of([("egress", meter)], load_book(cloud), today=today)


def _training(target: StackPlan, tickets: int, scenario: Scenario, today: dt.date) -> tuple[Line, ...]:
    assumed = assumptions_of(target, scenario)
    asked, runs = demand(assumed, tickets), max(assumed["trainings"], Decimal(1))
    hours = (asked.idle_training_h + asked.training_h) / runs * RETRAININGS
    meter = Meter(GPU[target.cloud], "training on the new cloud, twice", hours)
    return lines_of([("training", meter)], load_book(target.cloud), today=today)


def _dual(cloud: str, monthly_usd: Decimal, weeks: Decimal, today: dt.date) -> Line:
    """The new cloud beside the old one: the old one is paid anyway."""
    months = weeks * 7 / DAYS_PER_MONTH
    return Line(
        capability="dual running",
        item=f"{cloud} beside the old cloud for {weeks.normalize():f} weeks",
        quantity=months,
        unit="month",
        unit_usd=monthly_usd,
        amount_usd=(months * monthly_usd).quantize(Decimal("0.000001")),
        fixed=True,
        price="",
        source="estimate",
        as_of=today,
    )
