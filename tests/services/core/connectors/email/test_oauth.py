"""Accounts without a password: tokens from a token server, shown to the real Dovecot and to aiosmtpd."""

import base64
import contextlib
import imaplib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as Server
from aiosmtpd.smtp import AuthResult, Envelope, Session
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.core.connectors.email.settings import Imap
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable
from services.core.kit.oauth import bearer
from services.core.kit.smtp import Smtp, send_mail
from tests.conftest import free_port
from tests.services.core.connectors.conftest import Serve
from tests.services.core.connectors.email.post import EVER, System, written
from tests.services.core.connectors.email.test_mailbox import FOR_EVER_AGO

SECRET = "only the provider and we know it"
OAUTH = {"token_url": "https://example.com/token", "client_id": "a", "client_secret": "b"}
MECHANISMS = ("OAUTHBEARER", "XOAUTH2")


@dataclass
class Provider:
    """Hands out what `make` makes; a refresh token is good once, and exchanged for the next."""

    make: Callable[[], str]
    asked: list[dict[str, str]] = field(default_factory=list)
    refused: Response | None = None
    url: str = ""

    async def token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.asked.append(form)
        if self.refused is not None:
            return self.refused
        renewed = f"refresh-{sum(one['grant_type'] == 'refresh_token' for one in self.asked)}"
        is_good = form.get("refresh_token") == renewed or form["grant_type"] == "client_credentials"
        if not is_good or (form["client_id"], form["client_secret"], form["scope"]) != ("app", SECRET, "mail"):
            return JSONResponse({"error": "invalid_grant"}, 400)
        following = {"refresh_token": f"refresh-{int(renewed[-1]) + 1}"} if "refresh_token" in form else {}
        return JSONResponse({"access_token": self.make(), "expires_in": 600} | following)

    def oauth(self, **given: str) -> dict[str, str]:
        return {"token_url": self.url, "client_id": "app", "client_secret": SECRET, "scope": "mail", **given}


@pytest_asyncio.fixture
async def provider(system: System, serve: Serve) -> AsyncIterator[Provider]:
    found = Provider(lambda: system.server.token(system.user))
    app = Starlette(routes=[Route("/token", found.token, methods=["POST"])])
    async with serve(app) as url:
        found.url = f"{url}/token"
        yield found


def without_password(system: System, provider: Provider, **given: str) -> Any:
    imap = {"host": "localhost", "port": system.server.port, "user": system.user, "ca_file": system.server.certificate}
    return system.another(imap=imap | {"oauth": provider.oauth(**given)})


async def test_a_mailbox_is_read_with_a_token_that_is_asked_for_once(system: System, provider: Provider) -> None:
    """By client credentials; each look is a connection of its own, and they share the token."""
    system.deliver(written())
    ours = without_password(system, provider)
    [row] = await ours.changes(FOR_EVER_AGO, EVER)
    assert (await ours.fetch(row.ticket.external_id)).body == "It burns"
    assert [one["grant_type"] for one in provider.asked] == ["client_credentials"]


async def test_a_token_that_is_refused_is_replaced_once(system: System, provider: Provider) -> None:
    """A fresh one that is refused is no good: said so, without the token. Later the old one is replaced in one call."""
    good, provider.make = provider.make, lambda: system.server.token(system.user, lifetime_s=-60)
    ours = without_password(system, provider, refresh_token="refresh-1")
    with pytest.raises(ConnectorRejected, match="log-in") as caught:
        await ours.changes(FOR_EVER_AGO, EVER)
    assert "eyJ" not in caught.value.message
    provider.make = good
    await ours.changes(FOR_EVER_AGO, EVER)
    assert [one["refresh_token"] for one in provider.asked] == ["refresh-1", "refresh-2"]


async def test_a_token_server_that_is_away_is_waited_for(system: System, provider: Provider) -> None:
    """Its 503 is for now; that it does not know us is for good, and names what to check."""
    ours = without_password(system, provider)
    provider.refused = Response(status_code=503)
    with pytest.raises(ConnectorUnavailable, match="503 when asked for a token"):
        await ours.changes(FOR_EVER_AGO, EVER)
    provider.refused = JSONResponse({"error": "invalid_client", "error_description": SECRET}, 401)
    with pytest.raises(ConnectorRejected, match="client_secret and scope") as caught:
        await ours.changes(FOR_EVER_AGO, EVER)
    assert SECRET not in caught.value.message


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_both_mechanisms_are_spoken(system: System, mechanism: str) -> None:
    """As Dovecot understands them: the right token lets us in, a wrong one is refused and not waited for."""
    for token, is_right in ((system.server.token(system.user), True), ("guess", False)):
        said = bearer([mechanism], user=system.user, token=token, host="localhost", port=system.server.port)
        imap = imaplib.IMAP4_SSL("localhost", system.server.port, ssl_context=system.tls(), timeout=60)
        outcome = contextlib.nullcontext() if is_right else pytest.raises(imaplib.IMAP4.error, match=r"(?i)authenticat")
        with imap, outcome:
            imap.authenticate(mechanism, lambda challenge, said=said: said.answer(challenge).encode())


@dataclass
class TokenPost:
    """A mail server that takes tokens in one mechanism, and answers a wrong one as Google does: first with why."""

    mechanism: str
    good: str = "good"
    taken: int = 0

    def __post_init__(self) -> None:
        setattr(self, f"auth_{self.mechanism}", self._let_in)

    async def _let_in(self, server: Server, args: list[str]) -> AuthResult:
        said = await server.challenge_auth("") if len(args) == 1 else base64.b64decode(args[1])
        if f"auth=Bearer {self.good}\x01".encode() in said:
            return AuthResult(success=True)
        await server.challenge_auth('{"status":"400","schemes":"Bearer"}')
        return AuthResult(success=False, handled=False)

    async def handle_DATA(self, server: Server, session: Session, envelope: Envelope) -> str:
        self.taken += 1
        return "250 taken"


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_mail_goes_out_with_a_token(provider: Provider, mechanism: str) -> None:
    """And a token that was revoked meanwhile is replaced in the same call; one that never was good is refused."""
    post, mail = TokenPost(mechanism), EmailMessage()
    mail["From"], mail["To"] = "help@example.com", "billing@example.com"
    provider.make = lambda: post.good
    here = {"hostname": "127.0.0.1", "port": free_port()}
    server = Controller(post, **here, auth_require_tls=False, auth_exclude_mechanism=["PLAIN", "LOGIN"])
    server.start()
    try:
        where = {"host": "127.0.0.1", "port": server.port, "security": "none"}
        smtp = Smtp.model_validate(where | {"user": "help", "sender": mail["From"], "oauth": provider.oauth()})
        await send_mail(smtp, mail)
        post.good = "renewed"
        await send_mail(smtp, mail)
        assert (post.taken, len(provider.asked)) == (2, 2)
        provider.make = lambda: "guess"
        post.good = "another"
        with pytest.raises(ConnectorRejected, match="log-in with 535"):
            await send_mail(smtp, mail)
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (Imap, {"password": "p"}, "not both"),
        (Imap, {"oauth": None}, "needs password or oauth"),
        (Smtp, {"password": "p", "sender": "a@example.com"}, "exclude each other"),
        (Smtp, {"user": None, "sender": "a@example.com"}, "belong together"),
        (Imap, {"oauth": OAUTH | {"token_url": "http://example.com/token"}}, "token_url"),
    ],
)
def test_accounts_that_cannot_work_stop_the_start(model: type[Any], given: dict[str, Any], said: str) -> None:
    """A password beside a token, neither of them, a token asked for in the clear."""
    with pytest.raises(ValidationError, match=said):
        model.model_validate({"host": "mx.example.com", "user": "u", "oauth": OAUTH} | given)


def test_a_server_without_oauth_is_named() -> None:
    with pytest.raises(ConnectorRejected, match=r"mx\.example\.com offers neither"):
        bearer(["PLAIN"], user="u", token="t", host="mx.example.com", port=993)
