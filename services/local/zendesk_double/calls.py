"""Who calls, how often, and what goes wrong with the answer: what every call to the double passes through."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse

from services.local.doubles.double import basic_pair
from services.local.doubles.faults import Fault, Faults, answered
from services.local.zendesk_double.account import AGENT_ID, INTEGRATION_ID, Account, ApiError
from services.local.zendesk_double.webhooks import Webhook


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class DoubleSettings:
    """Two users may call: the integration (`pointsman@example.com`) and a person (`agent@example.com`)."""

    integration_token: str
    agent_token: str
    webhook_url: str | None = None
    webhook_secret: str = ""
    requests_per_minute: int = 700  # Zendesk's limit for the Professional plan
    copies: int = 1
    clock: Callable[[], datetime] = utc_now


@dataclass
class Double:
    """Everything one running double holds."""

    settings: DoubleSettings
    account: Account
    faults: Faults
    webhook: Webhook | None
    minute: int = 0
    requests_in_minute: int = 0


def _double(request: Request) -> Double:
    return request.app.state.double


def _actor_id(request: Request, authorization: Annotated[str, Header()] = "") -> int:
    """Who calls. Counts the call against the rate limit first, as Zendesk does."""
    double = _double(request)
    _count_request(double)
    actor_id = _user_of(authorization, double.settings)
    if actor_id is None:
        raise ApiError(401, "Couldn't authenticate you")
    return actor_id


def _fault(request: Request, _actor: Annotated[int, Depends(_actor_id)]) -> Fault | None:
    """The fault for this request; plain statuses are answered here."""
    fault = _double(request).faults.take(request.method, request.url.path)
    if fault is not None and fault.kind == "status":
        raise ApiError(fault.status, "Injected", "A fault was switched on", retry_after=fault.retry_after)
    return fault


Caller = Annotated[int, Depends(_actor_id)]
Trouble = Annotated[Fault | None, Depends(_fault)]
D = Annotated[Double, Depends(_double)]


def after(
    trouble: Fault | None, answer: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """The answer, or what the fault makes of it."""
    return answered(trouble, JSONResponse(answer, status_code=status, headers=headers))


def _count_request(double: Double) -> None:
    at = double.settings.clock().timestamp()
    if int(at // 60) != double.minute:
        double.minute, double.requests_in_minute = int(at // 60), 0
    double.requests_in_minute += 1
    if double.requests_in_minute > double.settings.requests_per_minute:
        wait_s = 60 - int(at % 60)
        raise ApiError(429, "TooManyRequests", "Too many requests this minute", retry_after=str(wait_s))


def _user_of(authorization: str, settings: DoubleSettings) -> int | None:
    """`Bearer <token>`, or Basic with `<email>/token:<token>`."""
    scheme, _, value = authorization.partition(" ")
    tokens = {settings.integration_token: INTEGRATION_ID, settings.agent_token: AGENT_ID}
    emails = {"pointsman@example.com/token": INTEGRATION_ID, "agent@example.com/token": AGENT_ID}
    if scheme == "Bearer":
        return tokens.get(value)
    name, token = basic_pair(authorization) or ("", "")
    user_id = emails.get(name)
    return user_id if user_id is not None and tokens.get(token) == user_id else None
