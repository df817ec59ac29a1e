"""An answer in the review queue as a form of the console sends it."""

from typing import Any

from fastapi import Request

from services.core.kit.database import Connection
from services.core.kit.errors import InputInvalid, PayloadInvalid
from services.core.kit.security import Principal
from services.gateway import reviewing
from services.gateway.pages import read_form
from services.gateway.reviewing import Answered, Verdict

VERDICTS: dict[str, Verdict] = {"": "group", "no_group": "no_group", "not_a_ticket": "not_a_ticket"}


async def close_from_form(request: Request, conn: Connection, ticket_id: int, who: Principal) -> Answered:
    """
    The form always names the group: accepting means the group that the person saw, whatever was decided since.

    Raises:
        as `reviewing.close_review`
    """
    form = await read_form(request)
    verdict = VERDICTS.get(form.get("verdict", ""))
    if verdict is None:
        raise PayloadInvalid("The form could not be read. Load the page again.")
    group = form.get("group") or None
    if verdict == "group" and group is None:
        raise InputInvalid("Choose a group first.")
    return await close(request, conn, ticket_id, who, group=group, verdict=verdict, mark=form.get("mark") or None)


def number(text: str) -> int:
    """
    Raises:
        PayloadInvalid: not a number of ours.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise PayloadInvalid("The form could not be read. Load the page again.")
    return int(text)


async def close(request: Request, conn: Connection, ticket_id: int, who: Principal, **answer: Any) -> Answered:
    """As `reviewing.close_review`; its letter is held as long as this gateway is told to."""
    hold_s = request.app.state.settings.review_hold_s
    return await reviewing.close_review(conn, ticket_id, who, hold_s=hold_s, **answer)
