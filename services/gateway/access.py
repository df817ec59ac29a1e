"""Who may call what: API keys and roles. Deny by default, and before a body is read."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.routing import APIRoute

from services.core.kit.errors import ConfigurationInvalid, Forbidden
from services.core.kit.openapi import SECURED
from services.core.kit.security import Principal, Role, key_in, require
from services.core.kit.sign_in import sign_in

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


def needs_in_console(role: Role) -> Callable[[Request], Awaitable[Principal]]:
    """
    A dependency for console pages: a session in the cookie or a key in a header. Where it comes from proves nothing.

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


def require_typed(request: Request) -> None:
    """
    Raises:
        Forbidden: another page led here. Its owner would have this browser work under a name of theirs.
    """
    if request.headers.get("sec-fetch-site", "none") != "none":
        raise Forbidden("Another page opened this link. If you asked for it yourself, paste it into the address bar.")


def key_of(request: Request) -> str | None:
    """The key in the headers of an API call."""
    return key_in(request.headers)


def _is_same_origin(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")
