"""The console's page of the router's versions: looked at by everyone, changed by administrators."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.core.kit.database import connection
from services.core.kit.errors import Conflict, InputInvalid, NotFound, RouterUnavailable
from services.core.kit.security import Principal, Role
from services.core.models.card import read_page
from services.gateway import charts, drift, models, repository, served
from services.gateway.access import needs_in_console
from services.gateway.endpoints.drift import WORDS
from services.gateway.models import CHANGED_SHOWN, Model
from services.gateway.pages import ConsoleRoute, is_fragment, read_form, render, who_values

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

FLOOR = 0.5  # where the curves begin: a router below it is of no use
FIGURES = (
    ("accuracy", "Accuracy"),
    ("macro_f1", "Macro-F1"),
    ("ece", "Calibration error (ECE)"),
    ("auto_coverage", "Routed by itself"),
    ("auto_precision", "of these right"),
    ("held_out_rows", "Held-out tickets"),
)
CONFUSED_SHOWN = 12
# A card is a page of the trainer's with its own style and its plots in it; it may load and run nothing.
CARD_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'"
Viewer = Annotated[Principal, Depends(needs_in_console(Role.VIEWER))]
Admin = Annotated[Principal, Depends(needs_in_console(Role.ADMIN))]
Version = Annotated[str | None, Query(max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
CardVersion = Annotated[str, Path(max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Group = Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Percent = Annotated[float, Query(ge=0, le=100)]


@router.get("/models")
async def show_models(request: Request, who: Viewer, version: Version = None) -> Response:
    """The champion, or the version that was chosen, with the list of all."""
    return await _page(request, who, version)


@router.get("/models/card/{version}/{page}")
async def show_card(
    request: Request, who: Viewer, version: CardVersion, page: Literal["model.html", "data.html"]
) -> Response:
    """Model card or data card, as the training wrote them."""
    found = await read_page(request.app.state.settings.objects_url, version, page)
    return Response(found, media_type="text/html", headers={"Content-Security-Policy": CARD_POLICY})


@router.get("/models/threshold")
async def preview_threshold(
    request: Request, who: Viewer, version: Version, group: Group, percent: Percent, never: bool = False
) -> Response:
    """What a threshold would do to the held-out tickets, before anybody saves it."""
    async with connection(request.app.state.pool) as conn:
        model = await models.find(conn, version or "")
    least = None if never else percent / 100
    return render(request, "threshold_effect.html", {"group": group, "least": least, **effects(model, group, least)})


@router.post("/models/threshold")
async def save_threshold(request: Request, who: Admin) -> Response:
    """Sets a group's threshold for a version, or gives it its own back."""
    form = await read_form(request)
    version, group = form.get("version", ""), form.get("group", "")
    async with connection(request.app.state.pool) as conn:
        if form.get("act") == "unset":
            await models.unset_threshold(conn, who, version, group)
        else:
            await models.set_threshold(conn, who, version, group, _least(form))
        champion = await models.champion(conn)
    holds = "It holds from the next ticket on." if version == champion else f"It holds once {version} serves."
    return await _page(request, who, version, done=f"Saved: {group}. {holds}")


@router.post("/models/promote")
async def promote(request: Request, who: Admin) -> Response:
    """Puts a version into service whose files a router could load; running routers follow within seconds."""
    form = await read_form(request)
    version, why = form.get("version", ""), form.get("why", "").strip()
    pool = request.app.state.pool
    try:
        async with connection(pool) as conn:
            await models.refuse_unfit(conn, version, why)
        await served.check(request.app.state, version)  # seconds: no connection waits for it
        async with connection(pool) as conn:
            await models.promote(conn, who, version, why=why)
    except (Conflict, RouterUnavailable) as exc:
        return await _page(request, who, version, problem=exc)
    return await _page(request, who, version, done=f"{version} is the champion.")


@router.post("/models/rollback")
async def roll_back(request: Request, who: Admin) -> Response:
    """
    Puts the champion before the present one back. Where no router answers nobody can look at its files: the way back
    from a model that routers do not survive stays open, and the page says so.
    """
    expected, unlooked = (await read_form(request)).get("version", ""), ""
    pool = request.app.state.pool
    try:
        async with connection(pool) as conn:
            version = await models.way_back(conn, expected)
        try:
            await served.check(request.app.state, version)
        except RouterUnavailable as exc:
            unlooked = exc.message
        async with connection(pool) as conn:
            await models.roll_back(conn, who, expected, version, unlooked=unlooked)
    except (Conflict, NotFound) as exc:
        return await _page(request, who, None, problem=exc)
    return await _page(request, who, version, done=f"{version} is the champion again. {unlooked}".strip())


def effects(model: Model, group: str, least: float | None) -> dict[str, Any]:
    """The group's tickets and all, as it is and as it would be."""
    now = {one.group: one.least for one in model.thresholds}
    if group not in now:
        raise InputInvalid(f"{model.version} does not know the group '{group}'.")
    then = now | {group: least}
    return {
        "own_now": model.effect_of(now, group),
        "own_then": model.effect_of(then, group),
        "all_now": model.effect_of(now),
        "all_then": model.effect_of(then),
    }


def _least(form: dict[str, str]) -> float | None:
    """
    Raises:
        InputInvalid: not a percentage.
    """
    if form.get("never"):
        return None
    try:
        percent = float(form.get("percent", ""))
    except ValueError as exc:
        raise InputInvalid("The threshold is a number from 0 to 100.") from exc
    if not 0 <= percent <= 100:
        raise InputInvalid("The threshold is a number from 0 to 100.")
    return percent / 100


async def _page(
    request: Request,
    who: Principal,
    version: str | None,
    *,
    done: str = "",
    problem: Conflict | NotFound | RouterUnavailable | None = None,
) -> Response:
    status = problem.status if problem else 200
    async with connection(request.app.state.pool) as conn:
        champion, listed = await models.champion(conn), await models.versions(conn)
        shown = version or champion or (listed[0]["version"] if listed else None)
        model = await models.find(conn, shown) if shown else None
        values: dict[str, Any] = {
            "versions": listed,
            "champion": champion,
            "earlier": await models.earlier(conn),
            "model": model,
            "drift": (await drift.reports(conn, until=None, most=1) or [None])[0],
            "words": WORDS,
            "can_edit": who.role >= Role.ADMIN,
            "done": done,
            "problem": problem.message if problem else "",
            **(await _drawn(conn, model) if model else {}),
            **who_values(request, who),
        }
        if is_fragment(request):
            return render(request, "model.html", values, status=status)
        values["counts"] = await repository.counts(conn)
    return render(request, "models.html", values, status=status)


async def _drawn(conn: repository.Connection, model: Model) -> dict[str, Any]:
    """The figures, curves and lists of one version."""
    evidence = model.evidence
    now = model.effect()
    wrong = [one for one in evidence.confusion if one.group != one.said]
    return {
        "figures": [(words, model.row["metrics"][name]) for name, words in FIGURES if name in model.row["metrics"]],
        "coverage": charts.line(charts.risk_coverage(evidence.held, evidence.tickets), floor=FLOOR),
        "point": (charts.at(now.automation, 0), 100 - charts.at(now.precision or FLOOR, FLOOR)),
        "reliability": charts.line(charts.reliability(evidence.reliability)),
        "now": now,
        "confused": sorted(wrong, key=lambda one: -one.tickets)[:CONFUSED_SHOWN],
        "changed": evidence.changed[:CHANGED_SHOWN],
        "better": sum(one.now == one.group for one in evidence.changed),
        "worse": sum(one.before == one.group for one in evidence.changed),
        "titles": await models.titles(conn, evidence.changed[:CHANGED_SHOWN]),
    }
