"""
A hand-over as an e-mail to the team, ready to be worked from; beside the ticket, for teams that live in a mailbox.

Sent at least once: its Message-ID is made from the conversation, so that a mail system that gets it twice knows it.
"""

from collections.abc import Mapping
from email.message import EmailMessage

from pydantic import Field

from services.core.contracts.ticket import NewTicket
from services.core.kit.smtp import Smtp


class MailSettings(Smtp):
    """The account that hand-overs are mailed with, and to whom: `teams` by group, `address` for what none has."""

    address: str | None = None
    teams: Mapping[str, str] = Field(default_factory=dict)

    def address_for(self, group: str | None) -> str | None:
        """Whom to write to; None: nobody is to be written to."""
        return self.teams.get(group or "") or self.address


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
    mail["Message-ID"] = f"<{ticket.key}@pointsman>"
    if ticket.requester.email:
        mail["Reply-To"] = " ".join(ticket.requester.email.split())
    of = f"For: {team or 'whoever it concerns'}" + (f", level {level}" if level else "")
    mail.set_content(f"Ticket {number}\n{of}\n\n{ticket.note}\n\n--- Transcript ---\n\n{ticket.body}\n")
    return mail
