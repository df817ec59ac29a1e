"""What Pointsman decided for a ticket, and why; what `submit`, the API and the console show."""

from datetime import datetime

from services.core.contracts.base import Contract
from services.core.contracts.prediction import Band, Hours, ScoredGroup
from services.core.contracts.ticket import Priority


class Decision(Contract):
    """
    `band` is final: the router's suggestion after filters and degradation.
    `group` is None when nothing could be decided (router down): a person decides.
    `decided_by` names what made it: `router`, `filter`, `fallback`.
    `hours` and `breach`: until it is solved, and the chance that its SLA is missed, as learned; None where no head may
    say it.
    """

    ticket_id: str
    group: str | None
    confidence: float
    similarity: float | None = None
    band: Band
    top3: tuple[ScoredGroup, ...] = ()
    priority: Priority | None = None
    priority_reason: str = ""
    priority_by: str = ""
    summary: str | None = None
    reason: str
    decided_by: str = "router"
    model_version: str | None = None
    prompt_version: str | None = None
    hours: Hours | None = None
    breach: float | None = None
    shadow: bool = False
    latency_ms: float = 0.0
    decided_at: datetime | None = None


class Triaged(Contract):
    """The answer of `pointsman submit`: one line per ticket."""

    external_id: str
    ticket_id: str
    group: str | None
    confidence: float
    band: Band
    priority: Priority | None
    top3: tuple[ScoredGroup, ...]
    summary: str | None = None
    model_version: str | None
    latency_ms: float
