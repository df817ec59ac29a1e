"""
A hand-over as an e-mail to the team, ready to be worked from; beside the ticket, for teams that live in a mailbox.

Sent at least once: its Message-ID is made from the conversation, so that a mail system that gets it twice knows it.
"""

import asyncio
import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.core.contracts.ticket import NewTicket
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable

TIMEOUT_S = 15.0


class MailSettings(BaseModel):
    """
    Where hand-overs are mailed to: `teams` by group, `address` when the router names none of them. Off without `host`.

    `security`: `starttls` (port 587), `tls` (465), or `none` for a relay on this machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = ""
    port: int = Field(default=587, ge=1, le=65535)
    security: str = Field(default="starttls", pattern="^(starttls|tls|none)$")
    user: str = ""
    password: SecretStr = SecretStr("")
    sender: str = "pointsman@localhost"
    address: str = ""
    teams: Mapping[str, str] = Field(default_factory=dict)

    def address_for(self, group: str | None) -> str | None:
        """Whom to write to; None: nobody is to be written to."""
        return (self.teams.get(group or "") or self.address or None) if self.host else None


def as_mail(
    settings: MailSettings,
    to: str,
    ticket: NewTicket,
    number: str,
    *,
    team: str | None = None,
    level: int | None = None,
) -> EmailMessage:
    """What the ticket says, for its team and level: the private note first, then the transcript."""
    mail = EmailMessage()
    mail["From"], mail["To"] = settings.sender, to
    mail["Subject"] = " ".join(f"[{number}] {ticket.subject}".split())
    mail["Date"] = formatdate()
    mail["Message-ID"] = f"<{ticket.key}@pointsman>"
    if ticket.requester.email:
        mail["Reply-To"] = " ".join(ticket.requester.email.split())
    of = f"For: {team or 'whoever it concerns'}" + (f", level {level}" if level else "")
    mail.set_content(f"Ticket {number}\n{of}\n\n{ticket.note}\n\n--- Transcript ---\n\n{ticket.body}\n")
    return mail


async def send(settings: MailSettings, mail: EmailMessage) -> None:
    """
    Hands a mail to the server.

    Raises:
        ConnectorUnavailable: it does not answer, or asks to come again. ConnectorRejected: it refuses for good.
    """
    await asyncio.to_thread(_send, settings, mail)


def _send(settings: MailSettings, mail: EmailMessage) -> None:
    try:
        with _connected(settings) as server:
            if settings.user:
                server.login(settings.user, settings.password.get_secret_value())
            server.send_message(mail)
    except smtplib.SMTPRecipientsRefused as exc:
        raise _translated(max(code for code, _ in exc.recipients.values())) from exc
    except smtplib.SMTPResponseException as exc:
        raise _translated(exc.smtp_code) from exc
    except (smtplib.SMTPException, OSError, ValueError) as exc:
        raise ConnectorUnavailable(f"The mail server {settings.host} does not answer ({type(exc).__name__}).") from exc


def _connected(settings: MailSettings) -> smtplib.SMTP:
    if settings.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=TIMEOUT_S, context=context)
    server = smtplib.SMTP(settings.host, settings.port, timeout=TIMEOUT_S)
    if settings.security == "starttls":
        server.starttls(context=ssl.create_default_context())
    return server


def _translated(code: int) -> ConnectorRejected | ConnectorUnavailable:
    if 500 <= code < 600:
        return ConnectorRejected(f"The mail server refused the hand-over with {code}. Check sender and addresses.")
    return ConnectorUnavailable(f"The mail server answered {code}.")
