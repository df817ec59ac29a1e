"""
In and out of the console: a one-time link or an API key becomes a cookie that scripts cannot read and other sites
cannot send.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from services.core.kit.database import connection
from services.core.kit.errors import Forbidden, Unauthenticated
from services.core.kit.sign_in import counting_failures, sign_in
from services.gateway import sessions
from services.gateway.access import COOKIE, require_same_origin, require_typed
from services.gateway.pages import ConsoleRoute, read_form, render, safe_path

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)


@router.get("/login")
async def show_login(request: Request, next: str = "/") -> Response:
    return render(request, "login.html", {"next": safe_path(next), "problem": None})


@router.post("/login")
async def log_in(request: Request) -> Response:
    """A session for the key, which stays out of the cookie; on to where the person wanted to be."""
    require_same_origin(request)
    form = await read_form(request)
    key, back = form.get("key", "").strip(), safe_path(form.get("next"))
    try:
        await sign_in(request, key)
        async with connection(request.app.state.pool) as conn:
            return _signed_in(request, await sessions.open_session(conn, key), back)
    except Unauthenticated:
        problem = "This API key is not known or was revoked. Make one with: pointsman keys create NAME"
        return render(request, "login.html", {"next": back, "problem": problem}, status=401)


@router.get("/enter")
async def enter(request: Request, link: Annotated[str, Query(max_length=100)] = "") -> Response:
    """A one-time link becomes a session; used again it leads to the login, or on, in the browser that used it."""
    try:
        require_typed(request)
        with counting_failures(request):
            async with connection(request.app.state.pool) as conn:
                return _signed_in(request, await sessions.follow_link(conn, link), "/")
    except Unauthenticated as exc:
        if COOKIE in request.cookies:
            return RedirectResponse("/", 303)
        return render(request, "login.html", {"next": "/", "problem": exc.message}, status=401)
    except Forbidden as exc:
        return render(request, "login.html", {"next": "/", "problem": exc.message}, status=403)


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """Ends the session itself, not only this browser's copy of it."""
    require_same_origin(request)
    async with connection(request.app.state.pool) as conn:
        await sessions.end_session(conn, request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=_is_https(request))
    return answer


def _signed_in(request: Request, session: str, back: str) -> Response:
    request.app.state.key_ring.outdate()  # the next page must know it, whatever else comes from this address
    answer = RedirectResponse(back, 303)
    life_s = int(sessions.SESSION_LIFE.total_seconds())
    answer.set_cookie(COOKIE, session, max_age=life_s, httponly=True, samesite="strict", secure=_is_https(request))
    return answer


def _is_https(request: Request) -> bool:
    """Also behind a load balancer that ends TLS. Who forges this header only keeps the cookie from themselves."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
