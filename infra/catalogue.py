"""
The capabilities, said once and in the order in which they are built: what the parity of the plan, the rules, the chart
of costs and the checks after `up` are measured against.

It knows no cloud. `infra/<cloud>/<name>.py` builds each of them; `infra/blueprint.py` wires them together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import Any

from infra.grants import Access


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
    `empty` says when a stack may go without it: where the contract holds nothing at `only_with`, or a condition of that
    name in rules/equivalence.py.
    `unchecked` says why `smoke` does not look at it, for all clouds (`*`) or for one; `unlimited` why `preflight` asks
    for no quota of it.
    `bill` is None where it costs nothing. `gives` is what somebody may be granted on it (infra/grants.py says who);
    `closed` says why nobody is.
    """

    name: str
    bill: Bill | None
    empty: str = ""
    only_with: str = ""
    unchecked: dict[str, str] = field(default_factory=dict)
    unlimited: dict[str, str] = field(default_factory=dict)
    gives: tuple[Access, ...] = ()
    closed: str = ""


_NO_DOOR = "there is nothing to be let into"
_FEW = {"*": "one or a few, where an account may have hundreds"}
_ASKED = "preflight asks whether each model is offered; what it may be asked is a rate, not a number of things"
_STANDS = {"*": "everything else stands on it"}
CATALOGUE = (
    Capability("foundation", Bill.SUPPLIES, unchecked=_STANDS, unlimited=_FEW, closed=_NO_DOOR),
    Capability("network", Bill.NETWORK, empty="the company brings its network", closed=_NO_DOOR),
    Capability("keys", Bill.SUPPLIES, unlimited=_FEW, closed="its use goes with the grant on what it encrypts"),
    Capability("observability", Bill.WATCH, unlimited=_FEW, gives=(Access.TELEMETRY_SEND,)),
    Capability(
        "objects",
        Bill.SUPPLIES,
        unlimited=_FEW,
        gives=(
            Access.DOCUMENTS_READ,
            Access.DOCUMENTS_WRITE,
            Access.MODELS_READ,
            Access.MODELS_WRITE,
            Access.LAKE_READ,
            Access.LAKE_WRITE,
            Access.DEPLOY_WRITE,
        ),
    ),
    Capability(
        "database",
        Bill.DATABASE,
        unlimited=dict.fromkeys(("azure", "gcp"), "one server; the cloud counts its vCPUs, far above ours"),
        gives=(Access.DATABASE, Access.DATABASE_ADMIN),
    ),
    Capability("bus", Bill.BUS, unlimited=_FEW, gives=(Access.BUS_PUBLISH, Access.BUS_READ)),
    Capability(
        "registry", Bill.SUPPLIES, empty="the company has a registry", unlimited=_FEW, closed="machines pull, CI pushes"
    ),
    Capability("secrets", Bill.SUPPLIES, unlimited=_FEW, gives=(Access.SECRETS_READ, Access.SECRETS_WRITE)),
    Capability(
        "models",
        Bill.MODEL,
        empty="the embedded model is used",
        unlimited={"aws": _ASKED, "gcp": _ASKED},
        gives=(Access.LLM_INVOKE,),
    ),
    Capability("cluster", Bill.MACHINES, gives=(Access.CLUSTER_VIEW,)),
    Capability(
        "edge",
        Bill.NETWORK,
        empty="small: without a domain the node's own name is the way in",
        unlimited=_FEW,
        gives=(Access.DNS_EDIT,),
    ),
    Capability("identity", None, unlimited=_FEW, closed="is who others are"),
    Capability("alerts", Bill.WATCH, unlimited=_FEW, closed=_NO_DOOR),
    Capability(
        "backup",
        Bill.DATABASE,
        empty="small: point-in-time recovery and versions remain",
        unchecked={"*": "the first copy is made a night later"},
        unlimited=_FEW,
        closed="who may empty it could empty the last copy",
    ),
    Capability(
        "budget",
        None,
        unchecked={"gcp": "the billing account's owner alone may read it: see it in the console"},
        unlimited=_FEW,
        closed=_NO_DOOR,
    ),
    Capability(
        "ci",
        None,
        empty="no repository is named",
        only_with="ci.principal",
        unchecked={"*": "the next push tells"},
        unlimited=_FEW,
        closed="it pushes",
    ),
)
GIVER = {access: capability.name for capability in CATALOGUE for access in capability.gives}


def words_of(cloud: str, access: Access) -> Callable[..., Any]:
    """`words` of the file that builds what is granted: a cloud's words for an access stand beside the thing itself."""
    return import_module(f"infra.{cloud}.{GIVER[access]}").words


def admit_of(cloud: str, access: Access) -> Callable[..., Any] | None:
    """`admit` of the same file, where a grant is a resource that the thing itself keeps for each principal."""
    return getattr(import_module(f"infra.{cloud}.{GIVER[access]}"), "admit", None)


CAPABILITIES = tuple(capability.name for capability in CATALOGUE)
