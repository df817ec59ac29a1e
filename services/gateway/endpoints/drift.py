"""The console's page of drift: what is other than it was, and how sure that is."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from services.core.contracts.drift import DriftReport, Kind
from services.core.kit.database import connection
from services.core.kit.security import Principal, Role
from services.gateway import drift, repository
from services.gateway.access import needs_in_console
from services.gateway.pages import ConsoleRoute, render, who_values

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

Viewer = Annotated[Principal, Depends(needs_in_console(Role.VIEWER))]
WORDS: dict[Kind, tuple[str, str]] = {
    "labels": ("Groups", "how many tickets each group gets"),
    "inputs": ("Texts", "what tickets say, as the router's encoder reads it"),
    "confidence": ("Confidence", "how sure the present model is"),
    "performance": ("Right answers", "where a review, feedback or closing said which group was right"),
}


@router.get("/drift")
async def show_drift(request: Request, who: Viewer, day: Annotated[date | None, Query()] = None) -> Response:
    """The newest report, or that of `day`, with the days before it."""
    async with connection(request.app.state.pool) as conn:
        found = await drift.reports(conn, until=day)
        shown = found[0] if found else None
        values: dict[str, Any] = {
            "report": shown,
            "words": WORDS,
            "days": [(one.day, one.verdict) for one in found],
            "bars": {kind: _bars(found, kind) for kind in WORDS},
            "titles": await drift.titles(conn, shown.unlike) if shown else {},
            "counts": await repository.counts(conn),
        }
    return render(request, "drift.html", values | who_values(request, who))


def _bars(reports: list[DriftReport], kind: Kind) -> list[tuple[date, float, bool]]:
    """Of each day, the oldest first: how far the effect goes beyond what is worth a look (half the height), or not."""
    found = []
    for report in reversed(reports):
        one = next((test for test in report.tests if test.kind == kind), None)
        if one is not None and one.effect is not None:
            found.append((report.day, min(abs(one.effect) / one.least_effect / 2, 1.0), bool(one.has_shifted)))
    return found
