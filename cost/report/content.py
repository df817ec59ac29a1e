"""What a full report holds, gathered once: bills, curves, drivers, levers, returns, and what is missing."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from cost.bill import BAND_USD, assumptions_of, estimates
from cost.curve import Curve, curve
from cost.estimate import Estimate
from cost.levers import Saving, savings
from cost.roi import Published, Return, published, returns
from cost.scenario import Scenario
from cost.sensitivity import Swing, swings
from cost.usage import Assumption
from infra.offline.report import StackPlan

# Where drivers and levers are looked at: the volume each profile is meant for.
TYPICAL = {"small": 1_000, "dev": 1_000, "prod": 24_000}
Key = tuple[str, str]


@dataclass(frozen=True)
class Content:
    """Everything but the bills is per (cloud, profile), at the profile's typical volume."""

    today: dt.date
    scenario: Scenario
    bills: tuple[Estimate, ...]
    typical: dict[Key, Estimate]
    curves: dict[Key, Curve]
    swings: dict[Key, Sequence[Swing]]
    savings: dict[Key, Sequence[Saving]]
    returns: dict[Key, Return]
    published: Sequence[Published]
    assumptions: dict[Key, Sequence[tuple[Assumption, Decimal]]]

    @property
    def keys(self) -> list[Key]:
        return list(self.typical)

    @property
    def volumes(self) -> list[int]:
        return sorted({bill.tickets_per_month for bill in self.bills})

    def bill(self, key: Key, tickets: int) -> Estimate:
        return next(b for b in self.bills if (b.cloud, b.profile, b.tickets_per_month) == (*key, tickets))


def gather(
    stacks: Sequence[StackPlan],
    volumes: Sequence[int],
    *,
    scenario: Scenario,
    today: dt.date,
    typical: Mapping[str, int] = TYPICAL,
) -> Content:
    """The content of a full report on some stacks; `typical` is the volume of each profile that is looked into."""
    by_key: dict[Key, StackPlan] = {(stack.cloud, stack.profile): stack for stack in stacks}
    looked_into = {
        key: estimates([stack], [typical.get(stack.profile, 1_000)], scenario=scenario, today=today)[0]
        for key, stack in by_key.items()
    }
    assumed = {key: assumptions_of(stack, scenario) for key, stack in by_key.items()}
    return Content(
        today=today,
        scenario=scenario,
        bills=tuple(estimates(stacks, volumes, scenario=scenario, today=today)),
        typical=looked_into,
        curves={key: curve(s, scenario=scenario, today=today, targets=BAND_USD) for key, s in by_key.items()},
        swings={
            key: swings(s, looked_into[key].tickets_per_month, scenario=scenario, today=today)
            for key, s in by_key.items()
        },
        savings={
            key: savings(s, looked_into[key].tickets_per_month, scenario=scenario, today=today)
            for key, s in by_key.items()
        },
        returns={key: returns(looked_into[key], assumed[key], scenario.roi) for key in by_key},
        published=published(),
        assumptions={key: [(item, a[name]) for name, item in a.inputs.items()] for key, a in assumed.items()},
    )
