"""What the router answers for one ticket."""

from enum import StrEnum

from pydantic import Field

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


class Prediction(Contract):
    """
    `top` holds up to three groups, most probable first, calibrated probabilities.
    `confidence` is what the bands compare: probability combined with nearest-neighbour similarity.
    `similarity` is the mean cosine of the nearest training tickets (-1..1): low means out of scope.
    """

    top: tuple[ScoredGroup, ...] = Field(min_length=1, max_length=3)
    confidence: float = Field(ge=0, le=1)
    similarity: float = Field(ge=-1, le=1)
    band: Band
    reason: str
    model_version: str

    @property
    def group(self) -> str:
        return self.top[0].group
