"""In and out of the console: an API key becomes a cookie that scripts cannot read and other sites cannot send."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.core.kit.errors import Unauthenticated
from services.gateway.access import require_same_origin, sign_in
from services.gateway.pages import COOKIE, ConsoleRoute, read_form, render, safe_path

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

COOKIE_AGE_S = 12 * 3600  # a working day


@router.get("/login")
async def show_login(request: Request, next: str = "/") -> Response:
    return render(request, "login.html", {"next": safe_path(next), "problem": None})


@router.post("/login")
async def log_in(request: Request) -> Response:
    """Tries the key and goes on to where the person wanted to be."""
    require_same_origin(request)
    form = await read_form(request)
    key, back = form.get("key", "").strip(), safe_path(form.get("next"))
    try:
        await sign_in(request, key)
    except Unauthenticated:
        problem = "This API key is not known or was revoked. Make one with: pointsman keys create NAME"
        return render(request, "login.html", {"next": back, "problem": problem}, status=401)
    answer = RedirectResponse(back, 303)
    answer.set_cookie(COOKIE, key, max_age=COOKIE_AGE_S, httponly=True, samesite="strict", secure=_is_https(request))
    return answer


@router.post("/logout")
async def log_out(request: Request) -> Response:
    require_same_origin(request)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=_is_https(request))
    return answer


def _is_https(request: Request) -> bool:
    """Also behind a load balancer that ends TLS. Who forges this header only keeps the cookie from themselves."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
