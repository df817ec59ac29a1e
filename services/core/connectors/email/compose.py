"""
The mails we send: a hand-over to a team, an answer to whoever asked, a ticket that we open.

Each has a Message-ID made from its letter's key, so that a second copy is known as one, and says that nobody wrote it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, formatdate
from typing import Any

from services.core.connectors.email.automatic import LOOP, OWN_ID
from services.core.connectors.email.quoted import new_text
from services.core.connectors.email.reading import Mail
from services.core.connectors.email.settings import Team
from services.core.connectors.writing import Change
from services.core.contracts.ticket import NewTicket, Priority

CONVERSATION_MAX_CHARS = 200_000
LONG_LINES = SMTP.clone(max_line_length=900)  # a Message-ID that is folded is another one
LINE_MAX_CHARS = 200
REFERENCES_MAX = 20
IMPORTANT = frozenset({Priority.HIGH, Priority.URGENT})
NOBODY = "-"  # where a template names what is not known


def message_id_of(key: str, address: str) -> str:
    """The same for the same letter, whoever sends it."""
    return f"{OWN_ID}{hashlib.sha256(key.encode()).hexdigest()[:32]}@{address.rpartition('@')[2]}>"


@dataclass(frozen=True)
class Conversation:
    """A thread, the oldest mail first; those of it that the team has not had; who asked."""

    thread: Sequence[Mail]
    new: Sequence[Mail]
    asked: str | None


def hand_over(address: str, team: Team, change: Change, said: Conversation) -> EmailMessage:
    """To the team: why, and the conversation; the mails they have not had yet hang on it as they came."""
    fields = _fields(change, said.thread[0]) | {
        "requester": said.asked or NOBODY,
        "note": change.note or "",
        "conversation": "\n\n".join(map(_said, reversed(said.thread)))[:CONVERSATION_MAX_CHARS],
    }
    mail = _mail(address, team.address, team.subject, fields, change.key)
    mail.replace_header("Reply-To", ", ".join(filter(None, (reachable(said.asked), address))))
    mail["Auto-Submitted"] = "auto-generated"
    _in_thread(mail, said.thread[-1])
    if change.priority in IMPORTANT:
        mail["Importance"], mail["X-Priority"] = "high", "1"
    mail.set_content(team.text.format_map(fields))
    for one in said.new:
        name = f"{one.subject[:60] or 'mail'}.eml"
        mail.add_attachment(one.raw.content, "application", "octet-stream", filename=name)
    return mail


def answer(address: str, to: str, text: str, change: Change, first: Mail) -> EmailMessage:
    """To whoever asked, in their thread."""
    fields = _fields(change, first)
    subject = "{subject}" if fields["subject"].lower().startswith("re:") else "Re: {subject}"
    mail = _mail(address, to, subject, fields, answer_key(change.key))
    mail["Auto-Submitted"] = "auto-replied"
    _in_thread(mail, first)
    mail.set_content(text.format_map(fields))
    return mail


def answer_key(key: str) -> str:
    return f"{key}/answer"


def opened(address: str, new: NewTicket) -> EmailMessage:
    """For the mailbox itself; whoever answers it writes to the one who asked."""
    mail = _mail(address, address, "{subject}", {"subject": new.subject}, new.key)
    if asked := reachable(new.requester.email):
        mail.replace_header("Reply-To", formataddr((_line(new.requester.name or ""), asked)))
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(new.body)
    return mail


def reachable(address: str | None) -> str | None:
    """An address that fits into a header as it is; nothing else of a stranger's gets there."""
    found = ((address or "").isascii() and address) or ""
    name, at, host = found.rpartition("@")
    return found if at and name and host and not set(found) & set(' <>,;:"()[]\\') else None


def _mail(address: str, to: str, subject: str, fields: Mapping[str, Any], key: str) -> EmailMessage:
    mail = EmailMessage(LONG_LINES)
    mail["From"], mail["To"], mail["Reply-To"] = address, to, address
    mail["Subject"] = _line(subject.format_map(fields))
    mail["Date"] = formatdate(localtime=False)
    mail["Message-ID"] = message_id_of(key, address)
    mail[LOOP], mail["X-Auto-Response-Suppress"] = address, "All"
    return mail


def _in_thread(mail: EmailMessage, before: Mail) -> None:
    if before.message_id:
        mail["In-Reply-To"] = before.message_id
        mail["References"] = " ".join([*before.references[-REFERENCES_MAX:], before.message_id])


def _fields(change: Change, first: Mail) -> dict[str, str]:
    return {
        "number": change.external_id,
        "subject": first.subject or NOBODY,
        "group": change.group or NOBODY,
        "priority": change.priority or NOBODY,
    }


def _said(mail: Mail) -> str:
    text = new_text(mail.text) if mail.references else mail.text
    return f"{mail.sender.email or NOBODY}, {mail.raw.at:%Y-%m-%d %H:%M} UTC:\n{text}"


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LINE_MAX_CHARS]
