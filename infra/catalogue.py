"""
The capabilities, said once and in the order in which they are built: what the parity of the plan, the rules, the chart
of costs and the checks after `up` are measured against.

It knows no cloud. `infra/<cloud>/<name>.py` builds each of them; `infra/blueprint.py` wires them together.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Bill(StrEnum):
    """The group of the chart of costs, in the chart's order."""

    MACHINES = "machines"
    DATABASE = "database"
    NETWORK = "network and edge"
    WATCH = "logs, metrics, alerts"
    BUS = "bus"
    MODEL = "language model"
    SUPPLIES = "registry, keys, secrets, objects"


@dataclass(frozen=True)
class Capability:
    """
    `empty` says when a stack may go without it; a rule of that name in rules/equivalence.py decides.
    `unchecked` says why `smoke` does not look at it, for all clouds (`*`) or for one.
    `bill` is None where it costs nothing.
    """

    name: str
    bill: Bill | None
    empty: str = ""
    unchecked: dict[str, str] = field(default_factory=dict)


_STANDS = {"*": "everything else stands on it"}
CATALOGUE = (
    Capability("foundation", Bill.SUPPLIES, unchecked=_STANDS),
    Capability("network", Bill.NETWORK, empty="the company brings its network"),
    Capability("keys", Bill.SUPPLIES),
    Capability("observability", Bill.WATCH),
    Capability("objects", Bill.SUPPLIES),
    Capability("database", Bill.DATABASE),
    Capability("bus", Bill.BUS),
    Capability("registry", Bill.SUPPLIES, empty="the company has a registry"),
    Capability("secrets", Bill.SUPPLIES),
    Capability("models", Bill.MODEL, empty="the embedded model is used"),
    Capability("cluster", Bill.MACHINES),
    Capability("edge", Bill.NETWORK, empty="small: without a domain the node's own name is the way in"),
    Capability("identity", None),
    Capability("alerts", Bill.WATCH),
    Capability(
        "backup",
        Bill.DATABASE,
        empty="small: point-in-time recovery and versions remain",
        unchecked={"*": "the first copy is made a night later"},
    ),
    Capability(
        "budget", None, unchecked={"gcp": "the billing account's owner alone may read it: see it in the console"}
    ),
    Capability("ci", None, empty="no repository is named", unchecked={"*": "the next push tells"}),
)
CAPABILITIES = tuple(capability.name for capability in CATALOGUE)
