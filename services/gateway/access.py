"""Who may call what, and how often: API keys and roles, size and rate limits. Deny by default."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from fastapi import Request

from services.core.kit.database import connection
from services.core.kit.errors import BodyTooLarge, Forbidden, RateLimited
from services.core.kit.security import Principal, Role, authenticate, require

MINUTE_S = 60
LOOPBACK = ("127.0.0.1", "::1")
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


class RateGate:
    """Counts calls per name and minute in this process; behind several replicas each has its own count."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._minute = 0
        self._calls: Counter[str] = Counter()

    def pass_or_refuse(self, name: str) -> None:
        """
        Raises:
            RateLimited: too many calls under `name` in this minute.
        """
        minute, second = divmod(int(self._clock()), MINUTE_S)
        if minute != self._minute:
            self._minute, self._calls = minute, Counter()
        self._calls[name] += 1
        if self._calls[name] > self._per_minute:
            wait_s = MINUTE_S - second
            raise RateLimited(f"More than {self._per_minute} calls in a minute. Slow down.", retry_after_s=wait_s)


async def read_body(request: Request, max_bytes: int) -> bytes:
    """
    The body, never holding more than `max_bytes` of it.

    Raises:
        BodyTooLarge: it is longer, whatever its Content-Length says.
    """
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise BodyTooLarge(f"The body is larger than {max_bytes} bytes (POINTSMAN_MAX_BODY_BYTES). Send less text.")
        chunks.append(chunk)
    return b"".join(chunks)


def needs(role: Role) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency for API endpoints: the caller, who has at least `role`."""

    async def principal(request: Request) -> Principal:
        async with connection(request.app.state.pool) as conn:
            who = await authenticate(conn, _key(request))
        request.app.state.api_gate.pass_or_refuse(who.name)
        require(who, role)
        return who

    return principal


def needs_in_console(role: Role) -> Callable[[Request], Awaitable[Principal]]:
    """
    A dependency for console pages: a key in the cookie, or, where the settings allow it, a caller on this machine.

    Source of the same-origin rule: OWASP CSRF cheat sheet, "Fetch Metadata"; the Host check stops DNS rebinding.
    """

    async def principal(request: Request) -> Principal:
        if request.method != "GET":
            require_same_origin(request)
        who = _loopback_principal(request)
        if who is None:
            async with connection(request.app.state.pool) as conn:
                who = await authenticate(conn, request.cookies.get("pointsman_key") or _key(request))
        request.app.state.api_gate.pass_or_refuse(who.name)
        require(who, role)
        return who

    return principal


def require_same_origin(request: Request) -> None:
    """
    Raises:
        Forbidden: another site may have made the browser send this.
    """
    if not _is_same_origin(request):
        raise Forbidden("This form was not sent from the console itself. Load the page again and repeat it.")


def _key(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else request.headers.get("x-api-key")


def _loopback_principal(request: Request) -> Principal | None:
    settings = request.app.state.settings
    is_local = (
        settings.console_loopback_role
        and request.client is not None
        and request.client.host in LOOPBACK
        and request.url.hostname in LOOPBACK_HOSTS
        and "x-forwarded-for" not in request.headers
    )
    if not is_local:
        return None
    return Principal("console", Role[settings.console_loopback_role.upper()], settings.tenant)


def _is_same_origin(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")
