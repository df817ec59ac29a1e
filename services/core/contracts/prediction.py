"""What the router answers for one ticket."""

from enum import StrEnum
from itertools import pairwise
from math import log1p

from pydantic import ConfigDict, Field

from services.core.contracts.base import Contract

NO_GROUP = "out of scope"  # the label of a ticket that belongs to no group: not learnt as one, asked about in the gates


class Band(StrEnum):
    """What may happen with a routing decision. Thresholds come with the model version."""

    AUTO_ROUTE = "AUTO_ROUTE"
    HUMAN_REVIEW = "HUMAN_REVIEW"
    ESCALATE = "ESCALATE"


class ScoredGroup(Contract):
    group: str
    probability: float = Field(ge=0, le=1)


class Learned(Contract):
    """What a head says, with its calibrated probability; `decides`: right often enough to be followed."""

    label: str
    probability: float = Field(ge=0, le=1)
    decides: bool = False


class Hours(Contract):
    """Hours to resolution: as many tickets take longer than `middle` as shorter; four in five lie between the ends."""

    low: float = Field(ge=0)
    middle: float = Field(ge=0)
    high: float = Field(ge=0)

    def chance_longer(self, hours: float) -> float:
        """How many of tickets like it take longer than so many hours; by their logarithm between what was learnt."""
        knots = ((self.low, 0.9), (self.middle, 0.5), (self.high, 0.1))
        if hours <= self.low:
            return 0.9  # of the tenth that is quicker still nothing was learnt
        for (near, above), (far, below) in pairwise(knots):
            if hours <= far:
                return above + (below - above) * (log1p(hours) - log1p(near)) / (log1p(far) - log1p(near))
        return 0.1


class Outlook(Contract):
    """
    What the heads beside the group say of a ticket; a head that the model has not is None.

    `is_breach_sure`: the chance of a breach was right on tickets that were not learnt from, so it may be acted upon.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    priority: Learned | None = None
    impact: Learned | None = None
    urgency: Learned | None = None
    hours: Hours | None = None
    breach: float | None = Field(default=None, ge=0, le=1)
    is_breach_sure: bool = False


class Prediction(Contract):
    """
    `top` holds up to three groups, most probable first, calibrated probabilities.
    `confidence` is what the bands compare: probability combined with nearest-neighbour similarity.
    `similarity` is the mean cosine of the nearest training tickets (-1..1): low means out of scope.
    `outlook`: of a model with such heads, where it was asked for.
    """

    top: tuple[ScoredGroup, ...] = Field(min_length=1, max_length=3)
    confidence: float = Field(ge=0, le=1)
    similarity: float = Field(ge=-1, le=1)
    band: Band
    reason: str
    model_version: str
    outlook: Outlook | None = None

    @property
    def group(self) -> str:
        return self.top[0].group
