"""Which mail of ours a bounce is about, whatever kind of server wrote it (RFC 3464, and what is older or its own)."""

import re

from services.core.connectors.email.automatic import OWN_ID
from services.core.connectors.email.reading import Mail

OURS = re.compile(rf"{re.escape(OWN_ID)}[0-9a-f]{{32}}@[a-z0-9.-]+>", re.IGNORECASE)
# The head of the mail that came back, behind the bounce's own; a long one is folded (RFC 5322, 2.2.3).
RETURNED = re.compile(rb"^message-id:[ \t]*(?:\r?\n[ \t]+)?(<[^>\r\n]{1,500}>)", re.IGNORECASE | re.MULTILINE)
ACTION = re.compile(rb"^action:[ \t]*([a-z]+)", re.IGNORECASE | re.MULTILINE)
STATUS = re.compile(rb"^status:[ \t]*([245]\.\d{1,3}\.\d{1,3})", re.IGNORECASE | re.MULTILINE)


def returned(mail: Mail) -> str | None:
    """The Message-ID of the mail of ours that did not arrive; None where it may yet, or where it is none of ours."""
    if not _has_failed(mail.raw.content):
        return None
    told = [found.decode("ascii", "replace") for found in RETURNED.findall(mail.raw.content)]
    return next((one for one in (*reversed(told), *reversed(mail.references)) if OURS.fullmatch(one)), None)


def status_of(mail: Mail) -> str:
    """As 5.1.1, where the server said it; nothing else of its words, which repeat addresses."""
    found = STATUS.search(mail.raw.content)
    return found[1].decode() if found else "unknown"


def _has_failed(content: bytes) -> bool:
    """Unless it says that the server goes on trying, or that all is well; of several recipients one is enough."""
    actions = {found.lower() for found in ACTION.findall(content)}
    return not actions or b"failed" in actions
