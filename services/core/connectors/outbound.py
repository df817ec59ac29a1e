"""HTTP to ticketing systems: vendor answers become our errors here, once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, NotFound, UpdateConflict

_REASON_MAX_CHARS = 300
# 408, 425 and 429 are answers to "not now"; every other 4xx stays the same however often we ask.
_TRY_LATER = frozenset({408, 425, 429})


async def send(
    http: httpx.AsyncClient, request: httpx.Request, *, system: str, now: datetime | None = None
) -> httpx.Response:
    """
    The answer to `request`, always a 2xx.

    Raises:
        ConnectorUnavailable: time-out, broken connection, 429 or 5xx; carries `retry_after_s` when told.
        UpdateConflict: 409. NotFound: 404. ConnectorRejected: any other answer, redirects included.
    """
    try:
        response = await http.send(request, follow_redirects=False)
    except httpx.TransportError as exc:
        what = "no answer in time" if isinstance(exc, httpx.TimeoutException) else "the connection broke"
        raise ConnectorUnavailable(
            f"{system} {request.method} {request.url.path}: {what} ({type(exc).__name__})."
        ) from exc
    if response.is_success:
        return response
    raise _error(response, system=system, now=now or datetime.now(UTC))


def read_json(response: httpx.Response, *, system: str) -> dict[str, Any]:
    """
    The JSON object of an answer.

    Raises:
        ConnectorUnavailable: a 2xx without JSON comes from something in between, not from the system.
    """
    try:
        parsed = response.json()
    except (ValueError, RecursionError) as exc:
        raise ConnectorUnavailable(f"{system} {response.request.url.path}: the answer is not JSON.") from exc
    if not isinstance(parsed, dict):
        raise ConnectorUnavailable(f"{system} {response.request.url.path}: the answer is not a JSON object.")
    return parsed


def _error(response: httpx.Response, *, system: str, now: datetime) -> Exception:
    status = response.status_code
    said = f"{system} {response.request.method} {response.request.url.path}: {status}{_reason(response)}"
    if status in _TRY_LATER or status >= 500:
        return ConnectorUnavailable(said, retry_after_s=_retry_after_s(response.headers, now=now))
    if status == 409:
        return UpdateConflict(f"{said}. The ticket changed meanwhile; the write is tried again.")
    if status == 404:
        return NotFound(f"{said}. Check the ticket's id and that our user may see it.")
    if status in (401, 403):
        return ConnectorRejected(f"{said}. Check the credentials configured for {system} and what its user may do.")
    return ConnectorRejected(said)


def _reason(response: httpx.Response) -> str:
    """The system's own error words; only from the fields made for it, so that no ticket text gets into our logs."""
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return ""
    said = [answer.get(key) for key in ("error", "description", "details")] if isinstance(answer, dict) else []
    return "".join(f" {word}" for word in said if word)[:_REASON_MAX_CHARS]


def _retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds to wait, from either form of Retry-After (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value)) if value.replace(".", "", 1).isdigit() else _until(value, now=now)
    except ValueError:
        return None


def _until(value: str, *, now: datetime) -> float:
    at = parsedate_to_datetime(value)
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())
