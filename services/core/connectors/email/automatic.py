"""Mail that nobody wrote: bounces, automatic replies, loops. It makes no ticket and gets no answer (RFC 3834, 2)."""

import re
from collections.abc import Callable, Mapping

from services.core.connectors.email.reading import Mail
from services.core.connectors.email.settings import EmailSettings
from services.core.contracts.ticket import Requester

HOPS_MAX = 50  # servers end a loop at 30 to 100; no mail that people send has half of that
NO_PERSON = re.compile(r"^(mailer-daemon|postmaster|no-?reply|do-?not-?reply|bounces?)(\+[^@]*)?@")
LOOP = "X-Loop"
OWN_ID = "<pointsman."  # every Message-ID of ours begins so

BOUNCES: Mapping[str, Callable[[Mail], bool]] = {
    "a null return-path": lambda mail: mail.header("Return-Path") == "<>",
    "a report": lambda mail: mail.headers.get_content_type() == "multipart/report",
    "a mail server's address": lambda mail: (mail.sender.email or "").startswith(("mailer-daemon@", "postmaster@")),
}
REPLIES: Mapping[str, Callable[[Mail], bool]] = {
    "Auto-Submitted": lambda mail: mail.header("Auto-Submitted").partition(";")[0].strip() not in ("", "no"),
    "Precedence": lambda mail: mail.header("Precedence") in ("bulk", "junk", "list", "auto_reply"),
    "X-Auto-Response-Suppress": lambda mail: mail.header("X-Auto-Response-Suppress") not in ("", "none"),
    "X-Autoreply": lambda mail: any(mail.header(name) for name in ("X-Autoreply", "X-Autorespond")),
}


def is_bounce(mail: Mail) -> bool:
    return any(is_so(mail) for is_so in BOUNCES.values())


def why_automatic(mail: Mail, settings: EmailSettings) -> str | None:
    """Why this is no person's mail; None when it is one, or of a machine that may open tickets."""
    if _is_ours(mail, settings):
        return "our own mail came back"
    if len(mail.headers.get_all("Received", [])) > HOPS_MAX:
        return "it goes in circles"
    for what, is_so in BOUNCES.items():
        if is_so(mail):
            return f"a bounce: {what}"
    if is_machine(mail.sender.email, settings):
        return None
    return next((f"an automatic mail: {what}" for what, is_so in REPLIES.items() if is_so(mail)), None)


def asked_by(mail: Mail, settings: EmailSettings) -> Requester:
    """Whom a reply goes to: forms on web sites write as themselves and name the customer as Reply-To."""
    asked = mail.reply_to
    return asked if asked.email and asked.email not in settings.own else mail.sender


def may_be_answered(mail: Mail, address: str, settings: EmailSettings) -> bool:
    """Whether a person may be at the other end."""
    is_robot = bool(NO_PERSON.match(address)) or bool(mail.header("List-Id"))
    is_robot = is_robot or any(is_machine(one, settings) for one in (address, mail.sender.email))
    return not is_robot and address not in settings.own and why_automatic(mail, settings) is None


def _is_ours(mail: Mail, settings: EmailSettings) -> bool:
    """By any of its marks: whoever passes mail on may add an X-Loop of its own above ours, or take ours away."""
    loops = {str(value).strip().lower() for value in mail.headers.get_all(LOOP, [])}
    host = (settings.address or "").rpartition("@")[2]
    is_named_so = mail.message_id.startswith(OWN_ID) and mail.message_id.endswith(f"@{host}>")
    return bool(loops & settings.own) or is_named_so


def is_machine(address: str | None, settings: EmailSettings) -> bool:
    found = address or ""
    return found in settings.machines or f"@{found.rpartition('@')[2]}" in settings.machines
