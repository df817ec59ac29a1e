"""
One folder of an IMAP account, opened to be read only (EXAMINE, BODY.PEEK): no flag is set, nothing moved or deleted.

A mail's place is its UID within the folder's UIDVALIDITY (RFC 9051, 2.3.1.1).
"""

import asyncio
import contextlib
import imaplib
import re
import ssl
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, TypeVar

from services.core.connectors.email.settings import Imap
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable
from services.core.kit.oauth import bearer, tokens_of

Found = TypeVar("Found")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SEARCHED = 10_000  # UIDs at once: imaplib refuses an answer of a million characters
_ATTRIBUTES = re.compile(rb'UID (?P<uid>\d+)|INTERNALDATE "(?P<at>[^"]+)"|RFC822\.SIZE (?P<size>\d+)')
_APPENDED = re.compile(rb"APPENDUID (\d+) (\d+)")
_FOR_NOW = re.compile(r"\[(UNAVAILABLE|INUSE|LIMIT|SERVERBUG|OVERQUOTA)\]")  # RFC 5530: the account is not wrong


@dataclass(frozen=True, order=True)
class Place:
    """Where a mail lies."""

    validity: int
    uid: int

    def __str__(self) -> str:
        return f"{self.validity:010}:{self.uid:010}"  # in the order of their text

    @classmethod
    def of(cls, text: str) -> "Place":
        validity, _, uid = text.partition(":")
        return cls(int(validity), int(uid))


@dataclass(frozen=True)
class Raw:
    """A mail as it came: its first bytes, when it arrived, and how long it is in all."""

    place: Place
    at: datetime
    size_bytes: int
    content: bytes


@dataclass(frozen=True)
class Folder:
    """An opened folder. `next_uid`: what comes from now on has this UID or a greater one."""

    imap: imaplib.IMAP4
    validity: int
    next_uid: int

    def uids(self, first: int, since: datetime | None, *, limit: int) -> list[int]:
        """The UIDs from `first` on, in order; `since` leaves out what arrived on an earlier day."""
        day = f"SINCE {_day(since)} " if since else ""
        found: list[int] = []
        for start in range(first, self.next_uid, SEARCHED):
            end = min(start + SEARCHED, self.next_uid) - 1
            answer = _asked(self.imap, "SEARCH", f"{day}UID {start}:{end}")
            found += sorted(int(uid) for line in answer if isinstance(line, bytes) for uid in line.split())
            if len(found) >= limit:
                break
        return found[:limit]

    def read(self, uid: int, *, limit_bytes: int) -> Raw | None:
        """One mail; None when it is not there any more."""
        what = f"(UID INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.{limit_bytes}>)"
        for attributes, content in _fetched(_asked(self.imap, "FETCH", str(uid), what)):
            if attributes.get("uid") == str(uid):
                return Raw(Place(self.validity, uid), _time(attributes["at"]), int(attributes["size"]), content)
        return None

    def found(self, message_id: str) -> Place | None:
        """The mail with this Message-ID; ours, so there is no quote in it."""
        answer = _asked(self.imap, "SEARCH", f'HEADER Message-ID "{message_id}"')
        uids = [int(uid) for line in answer if isinstance(line, bytes) for uid in line.split()]
        return Place(self.validity, min(uids)) if uids else None


class Mailbox:
    """Each visit is a connection of its own, one at a time: accounts have few of them."""

    def __init__(self, settings: Imap) -> None:
        self.settings = settings
        self._turn = asyncio.Lock()

    @property
    def name(self) -> str:
        return f"{self.settings.user}@{self.settings.host}/{self.settings.folder}"

    async def visit(self, look: Callable[[Folder], Found]) -> Found:
        """
        What `look` finds in the folder, in a thread of its own.

        Raises:
            ConnectorUnavailable: not now. ConnectorRejected: not with this account, folder or certificate.
        """
        async with self._turn:
            return await asyncio.to_thread(self._visit, look)

    async def append(self, content: bytes) -> Place | None:
        """Puts a mail into the folder; its place, where the server tells (UIDPLUS). Raises as `visit`."""
        async with self._turn:
            return await asyncio.to_thread(self._append, content)

    def _visit(self, look: Callable[[Folder], Any]) -> Any:
        with self._connected() as imap:
            done, _ = imap.select(f'"{self.settings.folder}"', readonly=True)
            if done != "OK":
                raise ConnectorRejected(
                    f"{self.settings.host} has no folder {self.settings.folder}. Correct imap.folder."
                )
            return look(Folder(imap, _number(imap, "UIDVALIDITY"), _number(imap, "UIDNEXT")))

    def _append(self, content: bytes) -> Place | None:
        with self._connected() as imap:
            done, said = imap.append(f'"{self.settings.folder}"', "", "", content)
            if done != "OK":
                raise ConnectorRejected(f"{self.settings.host} takes no mail into {self.settings.folder}.")
            told = _APPENDED.search(said[0] or b"")
            return Place(int(told[1]), int(told[2])) if told else None

    @contextlib.contextmanager
    def _connected(self) -> Generator[imaplib.IMAP4]:
        host = self.settings.host
        try:
            with self._connect() as imap:
                if self.settings.security == "starttls":
                    imap.starttls(self._tls())
                self._log_in(imap)
                yield imap
        except ssl.SSLCertVerificationError as exc:
            raise ConnectorRejected(
                f"The certificate of {host} is not trusted ({exc.verify_message}). Give its authority as imap.ca_file."
            ) from exc
        except (OSError, imaplib.IMAP4.error) as exc:
            raise ConnectorUnavailable(f"{host}:{self.settings.port} does not answer ({type(exc).__name__}).") from exc

    def _connect(self) -> imaplib.IMAP4:
        host, port, timeout_s = self.settings.host, self.settings.port, self.settings.timeout_s
        if self.settings.security == "tls":
            return imaplib.IMAP4_SSL(host, port, ssl_context=self._tls(), timeout=timeout_s)
        return imaplib.IMAP4(host, port, timeout=timeout_s)

    def _log_in(self, imap: imaplib.IMAP4) -> None:
        try:
            if self.settings.oauth:
                show = partial(self._show, imap)
                tokens_of(self.settings.oauth).log_in(show, refusals=imaplib.IMAP4.error)
            elif self.settings.password:
                imap.login(self.settings.user, self.settings.password.get_secret_value())
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as exc:  # not its words: some repeat the user
            if _FOR_NOW.search(str(exc)):
                raise ConnectorUnavailable(f"{self.settings.host} lets nobody in for now.") from exc
            raise ConnectorRejected(
                f"{self.settings.host} refused our log-in. Check imap.user and its credentials."
            ) from exc

    def _show(self, imap: imaplib.IMAP4, token: str) -> None:
        settings = self.settings
        offered = [one.removeprefix("AUTH=") for one in imap.capabilities if one.startswith("AUTH=")]
        said = bearer(offered, user=settings.user, token=token, host=settings.host, port=settings.port)
        imap.authenticate(said.mechanism, lambda challenge: said.answer(challenge).encode())

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.settings.ca_file) if self.settings.ca_file else None)


def _asked(imap: imaplib.IMAP4, command: str, *words: str) -> Sequence[Any]:
    done, answer = imap.uid(command, *words)
    if done != "OK":
        raise ConnectorUnavailable(f"The mailbox refused {command}.")
    return answer


def _fetched(answer: Sequence[Any]) -> Iterator[tuple[dict[str, str], bytes]]:
    """Attributes and content per mail: servers put attributes before the content, behind it, or have none to give."""
    heads, content = b"", b""
    for part in answer:
        head, body = part if isinstance(part, tuple) else (part or b"", None)
        heads, content = heads + b" " + head, content if body is None else body
        if not isinstance(part, tuple):
            found = {k: v.decode() for match in _ATTRIBUTES.finditer(heads) for k, v in match.groupdict().items() if v}
            yield found, content
            heads, content = b"", b""


def _number(imap: imaplib.IMAP4, name: str) -> int:
    _, told = imap.response(name)
    if not told or not told[-1]:
        raise ConnectorRejected(f"The mail server tells no {name}; without it no position can be kept.")
    return int(told[-1])


def _time(internal_date: str) -> datetime:
    """Of ` 1-Nov-2026 09:00:00 +0100`."""
    return parsedate_to_datetime(internal_date[:11].replace("-", " ") + internal_date[11:]).astimezone(UTC)


def _day(at: datetime) -> str:
    """A day early: the server counts days in a zone of its own. English whatever the locale."""
    day = at.astimezone(UTC) - timedelta(days=1)
    return f"{day.day}-{MONTHS[day.month - 1]}-{day.year}"
