"""
HTTP to ticketing systems: one client for all, and vendor answers become our errors here, once.

How a system words its errors is the connector's to say (`reads_error`).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx

from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, NotFound, UpdateConflict

ErrorReader = Callable[[Any], str]
ConflictReader = Callable[[int, Any], bool]

_REASON_MAX_CHARS = 300
# 408, 425 and 429 are answers to "not now"; every other 4xx stays the same however often we ask.
_TRY_LATER = frozenset({408, 425, 429})


def common_error(answer: Any) -> str:
    """The words of an error in the fields most systems use; no others, so that no ticket text gets into our logs."""
    said = [answer.get(key) for key in ("error", "description", "details")] if isinstance(answer, dict) else []
    return " ".join(str(word) for word in said if word)


def segment(external_id: str) -> str:
    """An id as one part of a path: whatever is in it, it leads nowhere else."""
    return quote(external_id, safe="")


def common_conflict(status: int, answer: Any) -> bool:
    """Whether the ticket changed while we wrote, as most systems say it."""
    return status in (409, 412)


@dataclass(frozen=True)
class Page:
    """Some rows of a list, and whether the system says that there are more: a page may be short and not the last."""

    rows: Sequence[Any]
    has_more: bool


async def every(page: Callable[[int, int], Awaitable[Page]]) -> list[Any]:
    """All rows of a list: `page(number, start)` gives the page of that number, from 0 on, after `start` rows."""
    rows: list[Any] = []
    for number in range(PAGES_MAX):
        found = await page(number, len(rows))
        rows += found.rows
        if not found.has_more:
            break
    return rows


PAGES_MAX = 1_000  # a system that ignores where to start would go on for ever


@dataclass(frozen=True)
class Api:
    """
    One system and one user of ours there. `http` belongs to the caller; paths are below `base_url`.

    `auth` may be any of httpx's, one that fetches a token included.
    """

    system: str
    base_url: str
    http: httpx.AsyncClient
    timeout_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: httpx.Auth | None = None
    reads_error: ErrorReader = common_error
    is_conflict: ConflictReader = common_conflict

    async def send(self, method: str, path: str, **content: Any) -> httpx.Response:
        """
        The answer, always a 2xx.

        Raises:
            ConnectorUnavailable: time-out, broken connection, 429 or 5xx; carries `retry_after_s` when told.
            UpdateConflict: 409, 412. NotFound: 404, 410. ConnectorRejected: any other answer, redirects included.
        """
        headers = {**self.headers, **content.pop("headers", {})}
        url = f"{self.base_url}/{path}"
        request = self.http.build_request(method, url, timeout=self.timeout_s, headers=headers, **content)
        return await send(
            self.http,
            request,
            system=self.system,
            auth=self.auth,
            reads_error=self.reads_error,
            is_conflict=self.is_conflict,
        )

    async def json(self, method: str, path: str, **content: Any) -> Any:
        """
        The JSON of the answer; raises as `send`.

        Raises:
            ConnectorUnavailable: a 2xx without JSON comes from something in between, not from the system.
        """
        return _json(await self.send(method, path, **content), system=self.system)

    async def object(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """The JSON object of the answer; raises as `json`."""
        return self.read(await self.send(method, path, **content))

    def read(self, response: httpx.Response) -> dict[str, Any]:
        """The JSON object of an answer that is here already; raises as `json`."""
        found = _json(response, system=self.system)
        if not isinstance(found, dict):
            where = f"{self.system} {response.request.url.path}"
            raise ConnectorUnavailable(f"{where}: the answer is not a JSON object.")
        return found


async def send(
    http: httpx.AsyncClient,
    request: httpx.Request,
    *,
    system: str,
    auth: httpx.Auth | None = None,
    reads_error: ErrorReader = common_error,
    is_conflict: ConflictReader = common_conflict,
) -> httpx.Response:
    """The answer to `request`, always a 2xx; raises as `Api.send`."""
    try:
        response = await http.send(request, auth=auth, follow_redirects=False)
    except httpx.TransportError as exc:
        what = "no answer in time" if isinstance(exc, httpx.TimeoutException) else "the connection broke"
        raise ConnectorUnavailable(
            f"{system} {request.method} {request.url.path}: {what} ({type(exc).__name__})."
        ) from exc
    if response.is_success:
        return response
    raise _error(response, system=system, reads_error=reads_error, is_conflict=is_conflict)


def _json(response: httpx.Response, *, system: str) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError) as exc:
        raise ConnectorUnavailable(f"{system} {response.request.url.path}: the answer is not JSON.") from exc


def _error(
    response: httpx.Response, *, system: str, reads_error: ErrorReader, is_conflict: ConflictReader
) -> Exception:
    status, answer = response.status_code, _answer(response)
    reason = f" {reads_error(answer)}"[:_REASON_MAX_CHARS].rstrip()
    said = f"{system} {response.request.method} {response.request.url.path}: {status}{reason}"
    if is_conflict(status, answer):
        return UpdateConflict(f"{said}. The ticket changed meanwhile; the write is tried again.")
    if status in _TRY_LATER or status >= 500:
        return ConnectorUnavailable(said, retry_after_s=_retry_after_s(response.headers, now=datetime.now(UTC)))
    if status in (404, 410):
        return NotFound(f"{said}. Check the ticket's id and that our user may see it.")
    if status in (401, 403):
        return ConnectorRejected(f"{said}. Check the credentials configured for {system} and what its user may do.")
    return ConnectorRejected(said)


def _answer(response: httpx.Response) -> Any:
    """The JSON of an answer that refuses; None where it is none."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


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
