"""Who may call what: API keys and roles, wrong keys in floods. Deny by default, and before a body is read."""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.routing import APIRoute

from services.core.kit.database import connection
from services.core.kit.errors import ConfigurationInvalid, Forbidden, SignatureInvalid, Unauthenticated
from services.core.kit.security import Principal, Role, authenticate, require
from services.gateway.rates import network

LOOPBACK = ("127.0.0.1", "::1")
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


class Guard:
    """A dependency of API endpoints: the caller, who has at least `role`; asked before the body is read."""

    def __init__(self, role: Role) -> None:
        self._role = role

    async def admit(self, request: Request) -> None:
        who = await sign_in(request, _key(request))
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

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        guards = [needed.call for needed in self.dependant.dependencies if isinstance(needed.call, Guard)]
        if len(guards) != 1:
            raise ConfigurationInvalid(f"{self.path} does not say who may call it. Give it one Guard, see access.py.")
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            await guards[0].admit(request)
            return await handle(request)

        return answer


async def sign_in(request: Request, key: str | None) -> Principal:
    """
    The holder of `key`.

    Raises:
        Unauthenticated: no key, or a wrong one.
        RateLimited: a wrong one, and too many came from its address in this minute. Right ones always pass.
    """
    state, address = request.app.state, _address(request)
    if key and state.wrong_keys.is_over(address) and not await state.key_ring.has(key):
        state.wrong_keys.pass_or_refuse(address)
    try:
        async with connection(state.pool) as conn:
            return await authenticate(conn, key)
    except Unauthenticated:
        if key:
            state.wrong_keys.pass_or_refuse(address)
        raise


@contextmanager
def counting_forgeries(request: Request) -> Generator[None]:
    """Wrong signatures count like wrong keys; a right one always passes."""
    try:
        yield
    except SignatureInvalid:
        request.app.state.wrong_keys.pass_or_refuse(_address(request))
        raise


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
            who = await sign_in(request, request.cookies.get("pointsman_key") or _key(request))
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
    return Principal("console", Role[settings.console_loopback_role.upper()])


def _is_same_origin(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")
