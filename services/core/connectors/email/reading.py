"""
A mail as a person would read it: its words, who wrote it, what it answers; attachments are named and never opened.

Whatever came is read: a charset that is wrong, a header in raw bytes, MIME that ends in the middle. The old parser of
the standard library is used on purpose: the new one raises on headers that real mail has.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import parseaddr

from services.core.connectors import lenient
from services.core.connectors.email.mailbox import Raw
from services.core.connectors.html_text import text_of
from services.core.contracts.ticket import BODY_MAX_CHARS, Requester

MESSAGE_ID = re.compile(r"<[\x21-\x3b\x3d\x3f-\x7e]{1,500}>")
ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w.-]{1,255}")
HEADER_MAX_CHARS = 30_000  # the References of a thread of hundreds; the library takes seconds for a megabyte
REFERENCES_MAX = 50  # the last ones: the nearest
ATTACHMENTS_MAX = 50
DEPTH_MAX = 20
NAME_MAX_CHARS = 200
# What the parser is known to raise on mail that was built to break it; the mail is then read as plain text.
BROKEN = (LookupError, ValueError, TypeError, AttributeError, RecursionError, AssertionError)
PLAIN, HTML = "text/plain", "text/html"


@dataclass(frozen=True)
class Attachment:
    """What hangs on a mail. `size_bytes` is what it would take once decoded, as far as it was read."""

    name: str
    type: str
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.name} ({self.type}, {_size(self.size_bytes)})"


@dataclass(frozen=True)
class Mail:
    """`key` names the mail for good, whatever its UID; `references` are the ids it answers, the nearest last."""

    raw: Raw
    key: str
    message_id: str
    references: tuple[str, ...]
    subject: str
    sender: Requester
    reply_to: Requester
    recipients: str
    text: str
    attachments: tuple[Attachment, ...]
    headers: Message

    def header(self, name: str) -> str:
        """As it stands there, in lower case, without comments that nobody compares."""
        return _bare(self.headers, name).strip().lower()


def read(raw: Raw) -> Mail:
    """Whatever is in there; raises nothing."""
    try:
        message = message_from_bytes(raw.content)
        return _mail(raw, message, *_content(message))
    except BROKEN:
        head, _, rest = raw.content.replace(b"\r\n", b"\n").partition(b"\n\n")
        return _mail(raw, _headers_of(head), _decoded(rest, ""), ())


def _mail(raw: Raw, message: Message, text: str, attachments: tuple[Attachment, ...]) -> Mail:
    ids = MESSAGE_ID.findall(_bare(message, "Message-ID"))
    answered = MESSAGE_ID.findall(_bare(message, "References") + " " + _bare(message, "In-Reply-To"))
    message_id = ids[0] if ids else ""
    return Mail(
        raw=raw,
        key=_key(raw, message, message_id),
        message_id=message_id,
        references=tuple(dict.fromkeys(one for one in answered[-REFERENCES_MAX:] if one != message_id)),
        subject=lenient.subject(_said(message, "Subject")),
        sender=_person(message, "From"),
        reply_to=_person(message, "Reply-To"),
        recipients=" ".join(_bare(message, name) for name in ("To", "Cc")).lower(),
        text=_whole(raw, text, attachments),
        attachments=attachments,
        headers=message,
    )


def _key(raw: Raw, message: Message, message_id: str) -> str:
    """
    The same in another folder, under another UID, in a copy by another address. Not the Message-ID alone: some devices
    give all of their mails the same one. Without one the content counts too.
    """
    parts = [message_id, *(_bare(message, name) for name in ("Date", "From", "Subject"))]
    content = b"" if message_id else raw.content
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace") + content).hexdigest()[:32]


def _content(message: Message) -> tuple[str, tuple[Attachment, ...]]:
    words: dict[str, list[str]] = {PLAIN: [], HTML: []}
    attachments: list[Attachment] = []
    for part in _leaves(message):
        kind = part.get_content_type()
        kind = PLAIN if kind.startswith("multipart/") else kind  # one without its boundary
        if kind in words and part.get_content_disposition() != "attachment":
            payload = part.get_payload(decode=True)
            words[kind].append(_decoded(payload if isinstance(payload, bytes) else b"", _charset(part)))
        elif len(attachments) < ATTACHMENTS_MAX:
            attachments.append(_attachment(part, kind))
    plain = "\n\n".join(words[PLAIN]).strip()
    return plain or "\n\n".join(map(text_of, words[HTML])).strip(), tuple(attachments)


def _leaves(part: Message, depth: int = 0) -> Iterator[Message]:
    """The parts that are no containers. A mail inside the mail is one: it is an attachment, not what was written."""
    if not part.get_content_type().startswith("multipart/") or not part.is_multipart() or depth > DEPTH_MAX:
        yield part
        return
    for inner in part.get_payload():
        if isinstance(inner, Message):
            yield from _leaves(inner, depth + 1)


def _attachment(part: Message, kind: str) -> Attachment:
    name = _words(str(part.get_filename() or "")) or "without a name"
    payload = part.get_payload()
    length = len(payload) if isinstance(payload, str) else len(bytes(part))
    is_base64 = str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64"
    return Attachment(_line(name)[:NAME_MAX_CHARS], _line(kind)[:80], length * 3 // 4 if is_base64 else length)


def _whole(raw: Raw, text: str, attachments: tuple[Attachment, ...]) -> str:
    """The words, then what else there is."""
    notes = [f"[Attached: {one}]" for one in attachments]
    if raw.size_bytes > len(raw.content):
        notes.append(f"[The mail has {_size(raw.size_bytes)}; its first {_size(len(raw.content))} were read.]")
    below = "\n".join(notes)
    return (text.replace("\r\n", "\n").strip()[: BODY_MAX_CHARS - len(below) - 2] + f"\n\n{below}").strip()


def _charset(part: Message) -> str:
    found = part.get_content_charset()
    return found if isinstance(found, str) else ""


def _decoded(content: bytes, charset: str) -> str:
    """By what it says, then by what it is; what no charset explains is shown as such."""
    for one in filter(None, (charset, "utf-8")):
        try:
            return _storable(content.decode(one))
        except (LookupError, ValueError):
            continue
    return _storable(content.decode("cp1252", "replace"))


def _storable(text: str) -> str:
    return lenient.text(lenient.storable(text, system="e-mail"))


def _headers_of(head: bytes) -> Message:
    """The lines that can be read as headers, one by one."""
    found = Message()
    for line in re.sub(rb"\n[ \t]+", b" ", head).split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon and re.fullmatch(rb"[\x21-\x7e]{1,80}", name):
            found[name.decode("ascii")] = _decoded(value.strip(), "")
    return found


def _bare(message: Message, name: str) -> str:
    """The first header of that name, unfolded, raw bytes read as what they most likely are."""
    value = next((str(value) for found, value in message.raw_items() if found.lower() == name.lower()), "")
    return _line(_decoded(value[:HEADER_MAX_CHARS].encode("utf-8", "surrogateescape"), ""))


def _said(message: Message, name: str) -> str:
    return _words(_bare(message, name))


def _person(message: Message, name: str) -> Requester:
    """Parsed before it is decoded: an encoded name may hold commas and brackets of its own."""
    value = _bare(message, name)
    try:
        spoken, address = parseaddr(value)
    except RecursionError:  # comments within comments within comments
        spoken, address = "", (ADDRESS.search(value) or [""])[0]
    return Requester(name=_words(spoken)[:NAME_MAX_CHARS] or None, email=address.lower()[:320] or None)


def _words(value: str) -> str:
    """With its encoded words (RFC 2047) decoded; as it stands where they are broken."""
    try:
        parts = decode_header(value)
    except (HeaderParseError, ValueError):
        return _line(value)
    if all(isinstance(part, str) for part, _ in parts):
        return _line(value)
    # The library hands what stands between encoded words back in this encoding.
    return _line("".join(_decoded(part, charset or "raw-unicode-escape") for part, charset in parts))


def _line(text: str) -> str:
    return " ".join(_storable(text).split())


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:.1f} MB" if size_bytes >= 1_000_000 else f"{max(1, size_bytes // 1_000)} kB"
