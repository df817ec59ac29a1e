"""Mail out, through aiosmtpd with TLS and a log-in: taken, refused for now, refused for good, never in the clear."""

import ssl
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as Server
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from pydantic import ValidationError

from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable
from services.core.kit.outbox import Letter
from services.core.kit.smtp import Smtp, send_mail
from services.worker.notify.announce import LANE
from services.worker.notify.channels import tell
from services.worker.notify.notices import Notice, compose
from services.worker.notify.settings import NotifySettings, Severity
from tests.conftest import free_port

PASSWORD = "only-on-this-machine"
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


class Post:
    """What the server took, and how it answers the next one."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.answers: list[str] = []

    async def handle_DATA(self, server: Server, session: Session, envelope: Envelope) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.taken.append(BytesParser(policy=default).parsebytes(envelope.content or b""))  # ty: ignore[invalid-argument-type]
        return "250 taken"

    async def handle_RCPT(
        self, server: Server, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("gone@"):
            return "550 no such mailbox gone@example.com"
        envelope.rcpt_tos.append(address)
        return "250 ok"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of localhost, signed by itself: certificate and key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    made = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *made, *name], check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def account(post: Post, certificate: tuple[Path, Path]) -> Iterator[Callable[..., Smtp]]:
    """The account on a server that asks for STARTTLS and a log-in; `change` sets other fields."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*map(str, certificate))
    port = free_port()

    def log_in(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        right = isinstance(given, LoginPassword) and (given.login, given.password) == (b"pm", PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    server = Controller(
        post,
        hostname="127.0.0.1",
        port=port,
        tls_context=context,
        require_starttls=True,
        authenticator=log_in,
        auth_required=True,
    )
    server.start()
    usual = {"host": "127.0.0.1", "port": port, "user": "pm", "password": PASSWORD, "sender": "pm@example.com"}
    yield lambda **change: Smtp.model_validate(usual | {"ca_file": str(certificate[0])} | change)
    server.stop()


def letter(to: str = "team@example.com") -> EmailMessage:
    found = EmailMessage()
    found["From"], found["To"], found["Subject"], found["Message-ID"] = (
        "pm@example.com",
        to,
        "Hallo ä",
        "<k@example.com>",
    )
    found.set_content("Grüße")
    return found


async def test_mail_goes_out_over_tls_with_a_log_in(post: Post, account: Callable[..., Smtp]) -> None:
    """Dated, in its charset; sent again it is the same mail by its Message-ID."""
    await send_mail(account(), letter())
    await send_mail(account(), letter())
    assert [mail["Message-ID"] for mail in post.taken] == ["<k@example.com>"] * 2
    assert (post.taken[0]["Subject"], post.taken[0].get_content().strip()) == ("Hallo ä", "Grüße")
    assert post.taken[0]["Date"]


async def test_for_now_and_for_good_are_told_apart(post: Post, account: Callable[..., Smtp]) -> None:
    """451 and a server that is away are tried again; a refusal, a wrong password and a strange certificate are not."""
    post.answers = ["451 later, jo@example.com is over quota", "554 no jo@example.com"]
    with pytest.raises(ConnectorUnavailable, match="451") as later:
        await send_mail(account(), letter())
    with pytest.raises(ConnectorRejected, match="554") as never:
        await send_mail(account(), letter())
    assert "jo@" not in later.value.message + never.value.message  # not the server's words
    with pytest.raises(ConnectorRejected, match="recipients with 550"):
        await send_mail(account(), letter("gone@example.com"))
    with pytest.raises(ConnectorRejected, match="log-in with 535"):
        await send_mail(account(password="other"), letter())
    with pytest.raises(ConnectorRejected, match="ca_file"):
        await send_mail(account(ca_file=None), letter())
    with pytest.raises(ConnectorUnavailable, match="does not take mail"):
        await send_mail(account(port=free_port()), letter())
    assert post.taken == []


async def test_a_notice_arrives_as_a_mail(post: Post, account: Callable[..., Smtp]) -> None:
    """Through the same door as the other channels, marked as automatic, with the link into the console."""
    smtp = account().model_dump() | {"password": PASSWORD}
    channel = {"kind": "email", "to": ["team@example.com", "lead@example.com"], "smtp": smtp}
    found = NotifySettings.model_validate(
        {"channels": {"mail": channel}, "rules": [{"to": "mail"}], "console_url": "https://triage.example.com"}
    )
    notice = Notice("k", "escalation", Severity.CRITICAL, NOW, "Ticket 7 needs a person.", ticket_id=7)
    payload = compose([notice]).model_dump(mode="json")
    async with httpx.AsyncClient() as http:
        assert await tell(found, http, Letter(1, "notice:mail:1", "notice", LANE + "mail", None, payload, 1)) == "told"
    [mail] = post.taken
    assert (mail["To"], mail["Auto-Submitted"]) == ("team@example.com, lead@example.com", "auto-generated")
    assert "https://triage.example.com/tickets/7" in mail.get_content()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"host": "mail.example.com", "security": "none"}, "in the clear"),
        ({"password": None}, "belong together"),
        ({"sender": "nobody"}, "sender"),
    ],
)
def test_an_account_that_cannot_work_stops_the_start(change: dict[str, Any], why: str) -> None:
    usual = {"host": "mail.example.com", "user": "pm", "password": "x", "sender": "pm@example.com"}
    assert Smtp.model_validate(usual)
    with pytest.raises(ValidationError, match=why):
        Smtp.model_validate(usual | change)
