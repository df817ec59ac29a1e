"""
What every console page shares: rendering, how times and numbers read, errors in words, and the way to the login.

A page is asked for twice: whole, by a person, and as a fragment, by htmx, which sends HX-Request.
"""

import re
from collections.abc import Callable, Collection, Coroutine, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from services.core.contracts.prediction import Band
from services.core.kit.errors import BodyTooLarge, InputInvalid, PayloadInvalid, PointsmanError, Unauthenticated
from services.core.kit.security import Principal, Role
from services.gateway.access import COOKIE

FORM_MAX_FIELDS = 20
FORM_MAX_BYTES = 8_192  # a group's name or an API key; pages that ask for more say so
SAFE_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")  # browsers read /\x and /<tab>/x as another host
# How the redactor spells what it hid. Not imported from it: the gateway would load every recogniser for one pattern.
PLACEHOLDER = re.compile(r"<([A-Z][A-Z_]*)_(\d{1,6})>")
WORDS = re.compile(r"(\w+)")
MARK = Markup("<mark>{}</mark>")
PLACE = Markup('<span class="hidden-data">{}</span>')
# What the redactor's names say to a person; the others read well in lower case.
KINDS = {
    "CREDIT_CARD": "card",
    "DATE_TIME": "date",
    "DEVICE_ID": "device number",
    "EMAIL_ADDRESS": "e-mail",
    "EMPLOYEE_ID": "employee number",
    "IBAN_CODE": "IBAN",
    "IP_ADDRESS": "IP",
    "LICENSE_PLATE": "number plate",
    "MAC_ADDRESS": "MAC",
    "NATIONAL_ID": "personal number",
    "NRP": "origin or belief",
    "PHONE_NUMBER": "phone",
    "STREET_ADDRESS": "address",
    "TAX_ID": "tax number",
    "URL": "URL",
    "USERNAME": "user name",
}

BANDS = {Band.AUTO_ROUTE: "Auto-routed", Band.HUMAN_REVIEW: "Human review", Band.ESCALATE: "Escalated"}
VERDICTS = {
    "accepted": "accepted",
    "corrected": "corrected",
    "no_group": "no group fits, said",
    "not_a_ticket": "not a ticket, said",
}
STATES = {
    "received": "Being triaged",
    "triaged": "Triaged",
    "filtered": "Left alone",
    "erased": "Erased",
}


def build_templates() -> Environment:
    """The console's templates: everything is escaped, and a name that does not exist is an error."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "ago": ago,
        "band": lambda name: BANDS.get(name, name),
        "count": lambda number: f"{number:,}",
        "percent": lambda share: f"{share:.0%}",
        "mattering": mark_mattering,
        "redacted": mark_redacted,
        "seconds": seconds,
        "usd": usd,
    }
    names: dict[str, Any] = {"bands": BANDS, "states": STATES, "verdicts": VERDICTS}
    templates.globals.update(names)
    return templates


def render(request: Request, name: str, values: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
    """The template `name` filled in, as an answer."""
    html = request.app.state.templates.get_template(name).render(values, path=request.url.path)
    # With no-referrer, browsers would post our forms with `Origin: null`, which the same-origin check refuses.
    return HTMLResponse(html, status, {"Referrer-Policy": "same-origin"})


def who_values(request: Request, who: Principal) -> dict[str, Any]:
    """What every page says about the person who looks at it."""
    return {"who": who, "can_review": who.role >= Role.AGENT, "can_log_out": COOKIE in request.cookies}


def is_fragment(request: Request) -> bool:
    return "hx-request" in request.headers


async def read_form(
    request: Request, *, max_bytes: int = FORM_MAX_BYTES, max_fields: int = FORM_MAX_FIELDS
) -> dict[str, str]:
    """
    The fields of a posted form.

    Raises:
        BodyTooLarge, PayloadInvalid: it is no small form. InputInvalid: a NUL in it, which PostgreSQL stores nowhere.
    """
    body = await request.body()
    if len(body) > max_bytes:
        raise BodyTooLarge(f"The form is larger than {max_bytes} bytes.")
    try:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=max_fields, errors="strict"))
    except ValueError as exc:
        raise PayloadInvalid("The form could not be read. Load the page again.") from exc
    if any("\x00" in text for text in form.values()):
        raise InputInvalid("The form holds a NUL character, which no text has. Take it out and send it again.")
    return form


def safe_path(path: str | None) -> str:
    """`path` where it leads to a page of ours, else the first page."""
    return path if path and SAFE_PATH.fullmatch(path) else "/"


class ConsoleRoute(APIRoute):
    """A console page: its errors are pages too, and who is not logged in is sent to the login."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Unauthenticated:
                return _to_login(request)
            except PointsmanError as exc:
                return error_page(request, exc.status, exc.message)
            except RequestValidationError as exc:
                problems = (f"{problem['loc'][-1]}: {problem['msg']}" for problem in exc.errors())
                return error_page(request, 422, "; ".join(problems))

        return answer


def error_page(request: Request, status: int, message: str) -> HTMLResponse:
    """The error in words; for htmx into the notice line, so that what is on the screen stays there."""
    if not is_fragment(request):
        return render(request, "error.html", {"message": message}, status=status)
    answer = render(request, "notice.html", {"message": message}, status=status)
    answer.headers.update({"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"})
    return answer


def mark_redacted(text: str | None) -> Markup:
    """The escaped text with each placeholder of the redactor set off."""
    return mark_mattering(text, ())


def mark_mattering(text: str | None, mattering: Collection[str]) -> Markup:
    """As `mark_redacted`, with the words that mattered marked, wherever they stand."""
    words, *found = PLACEHOLDER.split(text or "")  # text, then (label, number, text) for each placeholder
    pieces = [_marked(words, mattering)]
    for label, number, words in zip(*[iter(found)] * 3, strict=True):
        kind = KINDS.get(label, label.replace("_", " ").lower())
        pieces += [PLACE.format(f"{kind} {number}"), _marked(words, mattering)]
    return Markup("").join(pieces)


def _marked(text: str, mattering: Collection[str]) -> Markup:
    if not mattering:
        return escape(text)
    return Markup("").join(
        MARK.format(part) if part.casefold() in mattering else escape(part) for part in WORDS.split(text)
    )


def ago(at: datetime, now: datetime | None = None) -> str:
    """How long ago, in the largest unit that fits: `40 s`, `12 min`, `3 h`, `5 d`."""
    age_s = max(0, int(((now or datetime.now(UTC)) - at).total_seconds()))
    for unit, size_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if age_s >= size_s:
            return f"{age_s // size_s} {unit}"
    return f"{age_s} s"


def seconds(latency_ms: float) -> str:
    return f"{latency_ms / 1000:.{2 if latency_ms < 10_000 else 0}f} s"


def usd(amount: Decimal | None) -> str:
    """The amount without trailing zeros; a model call costs fractions of a cent."""
    return "price unknown" if amount is None else f"${amount.normalize():f}"


def _to_login(request: Request) -> Response:
    if is_fragment(request):
        shown = urlsplit(request.headers.get("hx-current-url", ""))
        back = safe_path(shown.path + (f"?{shown.query}" if shown.query else ""))
        return Response(status_code=401, headers={"HX-Redirect": f"/login?{urlencode({'next': back})}"})
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "") if request.method == "GET" else "/"
    return RedirectResponse(f"/login?{urlencode({'next': safe_path(back)})}", 303)
