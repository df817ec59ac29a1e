"""Who may call what: API keys and roles, wrong keys in floods. Deny by default, and before a body is read."""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.routing import APIRoute

from services.core.kit.database import connection
from services.core.kit.errors import ConfigurationInvalid, Forbidden, KeyMissing, SignatureInvalid, Unauthenticated
from services.core.kit.security import Principal, Role, authenticate, key_in, require
from services.gateway.openapi import SECURED
from services.gateway.rates import network

COOKIE = "pointsman_key"


class Guard:
    """A dependency of API endpoints: the caller, who has at least `role`; asked before the body is read."""

    def __init__(self, role: Role) -> None:
        self._role = role

    async def admit(self, request: Request) -> None:
        who = await sign_in(request, key_of(request))
        request.app.state.api_gate.pass_or_refuse(who.name)
        require(who, self._role)
        request.state.caller = who

    def __call__(self, request: Request) -> Principal:
        return request.state.caller


class GuardedRoute(APIRoute):
    """
    A route that knows its caller before anything of the body is read; the framework reads and parses it first.

    Raises:
        ConfigurationInvalid: when it is made without exactly one `Guard`: nothing is open by being forgotten.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **named: Any) -> None:
        named["openapi_extra"] = SECURED | (named.get("openapi_extra") or {})
        super().__init__(path, endpoint, **named)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        guards = [needed.call for needed in self.dependant.dependencies if isinstance(needed.call, Guard)]
        if len(guards) != 1:
            raise ConfigurationInvalid(f"{self.path} does not say who may call it. Give it one Guard, see access.py.")
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            await guards[0].admit(request)
            return await handle(request)

        return answer


async def sign_in(request: Request, key: str | None, *, takes_session: bool = False) -> Principal:
    """
    The holder of `key`; a session's value is one only where `takes_session`.

    Raises:
        Unauthenticated: no key, or a wrong one.
        RateLimited: a wrong one, and too many came from its address in this minute. Right ones always pass.
    """
    state = request.app.state
    with counting_failures(request):
        if key and state.failures.is_over(_address(request)) and not await state.key_ring.has(key):
            raise Unauthenticated("This API key is not known.")
        async with connection(state.intake_pool) as conn:  # short, and plain JSON comes in by it
            return await authenticate(conn, key, takes_session=takes_session)


@contextmanager
def counting_failures(request: Request) -> Generator[None]:
    """
    Wrong keys, links and signatures count together, for the address they came from; to bring none is no failure.

    Raises:
        RateLimited: instead of the failure, beyond so many in this minute.
    """
    try:
        yield
    except KeyMissing:
        raise
    except (SignatureInvalid, Unauthenticated):
        request.app.state.failures.pass_or_refuse(_address(request))
        raise


def needs_in_console(role: Role) -> Callable[[Request], Awaitable[Principal]]:
    """
    A dependency for console pages: a session or a key in the cookie. Where a call comes from proves nothing.

    Source of the same-origin rule: OWASP CSRF cheat sheet, "Fetch Metadata".
    """

    async def principal(request: Request) -> Principal:
        if request.method != "GET":
            require_same_origin(request)
        cookie = request.cookies.get(COOKIE)
        who = await sign_in(request, cookie or key_of(request), takes_session=bool(cookie))
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


def _address(request: Request) -> str:
    return network(request.client.host if request.client else "")


def key_of(request: Request) -> str | None:
    """The key in the headers of an API call."""
    return key_in(request.headers)


def _is_same_origin(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")
