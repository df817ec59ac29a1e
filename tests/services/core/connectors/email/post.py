"""A mailbox on the real Dovecot, a mail server that takes what we send, and the people who write and answer."""

import asyncio
import imaplib
import itertools
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP, default
from typing import Any

from aiosmtpd.smtp import SMTP as Server
from aiosmtpd.smtp import Envelope, Session

from services.core.connectors.email.connector import Email
from services.core.connectors.email.settings import EmailSettings
from services.core.connectors.polling import Changed, Position
from services.core.kit.database import Pool
from services.local.systems.dovecot import MailServer

HANG_S = 3  # what a hang costs a test
EVER = datetime(2100, 1, 1, tzinfo=UTC)
ADDRESS = "help@example.com"
TEAMS = {
    "Billing": {"address": "billing@example.com", "text": "{note}"},
    "Support": {"address": "support@example.com", "text": "{note}"},
}
DESK = {"address": "lead@example.com", "text": "{note}"}
COUNT = itertools.count(1)


@dataclass
class Post:
    """What was taken, in its order; the next faults, each after so many mails that pass."""

    taken: list[tuple[str, EmailMessage]] = field(default_factory=list)
    fault: str = ""
    skip: int = 0

    async def handle_DATA(self, server: Server, session: Session, envelope: Envelope) -> str:
        fault = self._next()
        if fault == "server_error":
            return "451 later"
        if fault == "refused":
            return "554 never"
        if fault == "hang":
            await asyncio.sleep(3600)
        self.taken.append((envelope.rcpt_tos[0], BytesParser(policy=default).parsebytes(envelope.content or b"")))  # ty: ignore[invalid-argument-type]
        if fault == "hang_after_effect":
            await asyncio.sleep(3600)
        if fault == "break_after_effect":
            server.transport.abort()
        return "250 taken"

    def to(self, address: str) -> list[EmailMessage]:
        """What arrived there; a second copy is known by its Message-ID, as mail systems do."""
        found = {mail["Message-ID"]: mail for to, mail in self.taken if to == address}
        return list(found.values())

    def _next(self) -> str:
        if not self.fault:
            return ""
        self.skip -= 1
        fault, self.fault = (self.fault, "") if self.skip < 0 else ("", self.fault)
        return fault


def written(subject: str = "Printer", text: str = "It burns", **headers: str) -> EmailMessage:
    """A mail as a person writes it; underscores stand for hyphens."""
    mail = EmailMessage(policy=SMTP)
    usual = {"From": "Ana <ana@example.org>", "To": ADDRESS, "Message-ID": f"<{next(COUNT)}@example.org>"}
    for name, value in (usual | {"Subject": subject} | {k.replace("_", "-"): v for k, v in headers.items()}).items():
        mail[name] = value
    mail.set_content(text)
    return mail


def reply(to: EmailMessage, text: str, **headers: str) -> EmailMessage:
    about = {"In_Reply_To": to["Message-ID"], "References": to["Message-ID"]}
    return written(f"Re: {to['Subject']}", text, **about | headers)


@dataclass
class System:
    """One mailbox of Dovecot with its SMTP side, as the suite wants it."""

    server: MailServer
    user: str
    post: Post
    smtp_port: int
    pool: Pool
    heard: Position = field(default_factory=lambda: Position(datetime(2000, 1, 1, tzinfo=UTC)))
    opened: dict[str, EmailMessage] = field(default_factory=dict)
    faults: Sequence[str] = ("server_error", "hang", "hang_after_effect", "break_after_effect")

    def __post_init__(self) -> None:
        self.connector = self.another()

    def settings(self, **given: Any) -> EmailSettings:
        imap = {"host": "localhost", "port": self.server.port, "user": self.user, "ca_file": self.server.certificate}
        smtp = {"host": "127.0.0.1", "port": self.smtp_port, "security": "none", "sender": ADDRESS}
        timeout_s = given.pop("timeout_s", 20)
        usual = {
            "address": ADDRESS, "poll_every_s": 60, "teams": TEAMS, "desk": DESK,
            "imap": imap | {"password": self.server.sign_in[1]}, "smtp": smtp | {"timeout_s": timeout_s},
        }  # fmt: skip
        return EmailSettings.model_validate(usual | given)

    def another(self, **given: Any) -> Email:
        return Email(self.settings(**given), self.pool)

    def deliver(self, mail: EmailMessage | bytes, *, at: datetime | None = None) -> None:
        """As a mail server does: nobody's flags, the time it came."""
        content = mail if isinstance(mail, bytes) else mail.as_bytes()
        with self.imap() as imap:
            done, said = imap.append("INBOX", "", imaplib.Time2Internaldate(at) if at else "", content)
        assert done == "OK", said

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.server.certificate))

    def imap(self) -> imaplib.IMAP4_SSL:
        imap = imaplib.IMAP4_SSL("localhost", self.server.port, ssl_context=self.tls(), timeout=60)
        imap.login(self.user, self.server.sign_in[1])
        return imap

    async def hear(self) -> list[Changed]:
        """All that came since the last time, as the worker hears it."""
        found: list[Changed] = []
        while rows := await self.connector.changes(self.heard, EVER):
            found += rows
            self.heard = rows[-1].position
        return found

    async def open_ticket(self) -> str:
        return await self.ask(written())

    async def ask(self, mail: EmailMessage | bytes) -> str:
        """The ticket of a mail that somebody sends."""
        self.deliver(mail)
        external_id = (await self.hear())[-1].ticket.external_id
        if isinstance(mail, EmailMessage):
            self.opened[external_id] = mail
        return external_id

    async def fail_next_write(self, fault: str, *, skip: int = 0) -> None:
        if "hang" in fault:
            self.connector = self.another(timeout_s=HANG_S)
        self.post.fault, self.post.skip = fault, skip

    async def is_struck(self) -> bool:
        return not self.post.fault

    async def notes(self, external_id: str) -> list[str]:
        """What arrived at any team about this ticket."""
        mails = {mail["Message-ID"]: mail for _, mail in self.post.taken if external_id in mail["Subject"]}
        return [body(mail) for mail in mails.values()]

    async def person_changes(self, external_id: str, **fields: str) -> None:
        """People can but answer."""
        self.deliver(reply(self.opened[external_id], fields["comment"], From="Jo <jo@example.com>"))


def body(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return part.get_content().strip()


def bounce(of: EmailMessage, *, action: str = "failed") -> bytes:
    """As Postfix writes it: a report with the head of the mail that came back."""
    head = "".join(f"{name}: {value}\r\n" for name, value in of.items())
    return (
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.com\r\nSubject: Undelivered Mail Returned to Sender\r\n"
        f"To: {ADDRESS}\r\nMessage-ID: <{next(COUNT)}@mx.example.com>\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\n<gone@example.com>: host says: no such user\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\n"
        f"Final-Recipient: rfc822; gone@example.com\r\nAction: {action}\r\nStatus: 5.1.1\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{head}\r\n--b--\r\n"
    ).encode()
