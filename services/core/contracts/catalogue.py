"""The label catalogue as people edit it: teams that tickets may be routed to."""

from typing import Annotated

from pydantic import Field

from services.core.contracts.base import Contract
from services.core.contracts.ticket import Priority

Line = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")]


class Team(Contract):
    """
    `name` is the group's name in the ticketing system, `description` what the models read about it.

    Below `priority_threshold` a ticket for this team goes to a person instead of being routed by itself. Teams that are
    not `active` get no ticket; they stay, because old decisions name them.

    `support_level` 1 is the help desk: the chat shows the way to the nearest page or video before it calls one of them.
    2 and 3, and a team without one, are written to by e-mail, too, where that is configured.
    """

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
    description: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")] = ""
    department: Line = ""
    system: Line = ""
    priority_threshold: Priority | None = None
    support_level: Annotated[int, Field(ge=1, le=3)] | None = None
    active: bool = True


class Catalogue(Contract):
    """Every team, in the order in which they are offered."""

    teams: Annotated[tuple[Team, ...], Field(max_length=1000)]
