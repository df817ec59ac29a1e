"""
The `Connector` for a mailbox that people write to. A ticket is a thread; a hand-over is a mail to the group's team.

A mail has no group, no priority and no private note that others could read: what we handed over last is what the ticket
has. A letter is sent at least once, under one Message-ID; that it is out is a row of the table of mails.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.core.connectors.email import compose
from services.core.connectors.email.automatic import asked_by, is_bounce, why_automatic
from services.core.connectors.email.bounced import returned, status_of
from services.core.connectors.email.conversation import Conversations, handed_over
from services.core.connectors.email.handing import Handing
from services.core.connectors.email.mailbox import Folder, Mailbox, Place
from services.core.connectors.email.quoted import new_text
from services.core.connectors.email.reading import Mail, read
from services.core.connectors.email.settings import EmailSettings
from services.core.connectors.email.threads import Sent, Threads, hashed
from services.core.connectors.hearing import OWN_ACTOR
from services.core.connectors.polling import LAG, Changed, Lost, Position
from services.core.connectors.port import Can, Connector
from services.core.connectors.writing import Change, Standing
from services.core.contracts.ticket import Comment, NewTicket, Status, Ticket
from services.core.kit.database import Pool
from services.core.kit.errors import ConnectorUnavailable

NAME = "email"
PAGE = 20  # mails in memory at once
THREAD_CHARS = 16  # of the first mail's key


@dataclass(frozen=True)
class Start:
    """Where reading begins. What lies below `below` and arrived before `since` was there before us."""

    uid: int
    since: datetime | None = None
    below: int = 0


class Email(Connector):
    """Without SMTP it only listens."""

    name = NAME
    system = "E-mail"
    own_actors = frozenset({OWN_ACTOR})

    def __init__(self, settings: EmailSettings, pool: Pool) -> None:
        super().__init__(settings)
        assert settings.imap is not None  # the settings say so
        self._own: EmailSettings = settings
        self._address = settings.address or ""
        self._box = Mailbox(settings.imap)
        self._threads = Threads(pool, self._box.name)
        self._conversations = Conversations(settings, self._box, self._threads)
        self._handing = Handing(settings, self._conversations)
        self.can = Can.FETCH | Can.POLL | (Can.WRITE | Can.GROUPS | Can.OPEN if settings.smtp else Can(0))

    async def changes(self, after: Position, until: datetime) -> Sequence[Changed]:
        """By UID, which only grows: `at` follows the mails' own times and never goes back."""
        found = await self._box.visit(lambda folder: self._page(folder, self._known_start(folder, after)))
        if found is None:
            start = await self._first_start(after)
            found = await self._box.visit(lambda folder: self._page(folder, start)) or []
        rows: list[Changed] = []
        for mail, start in found:
            at = max(rows[-1].at if rows else after.at, min(mail.raw.at, until))
            if (
                not rows and str(mail.raw.place) <= after.id
            ):  # a UIDVALIDITY that is the smaller number: the position grows
                at += timedelta(microseconds=1)
            rows.append(await self._changed(mail, at, start))
        return rows

    async def read(self, external_id: str) -> Ticket:
        rows = await self._conversations.rows(external_id)
        first, *others = await self._conversations.read(rows)
        group, priority = handed_over(rows)
        return Ticket(
            **self._fields(external_id, first),
            group=group,
            priority=priority,
            comments=tuple(map(_comment, others)),
            updated_at=[first, *others][-1].raw.at,
        )

    async def standing(self, external_id: str, key: str) -> Standing:
        rows = await self._conversations.rows(external_id)
        group, priority = handed_over(rows)
        return Standing(group, priority, None, self._handing.is_out(rows, key))

    async def groups(self) -> Mapping[str, str]:
        return {name: team.address for name, team in self._own.teams.items()}

    async def save(self, change: Change, standing: Standing) -> None:
        await self._handing.hand_over(change)

    async def note(self, change: Change) -> None:
        await self._handing.hand_over(change)

    async def find(self, key: str) -> str | None:
        message_id = compose.message_id_of(key, self._address)
        if known := await self._threads.find(message_id):
            return known
        if await self._box.visit(lambda folder: folder.found(message_id)) is None:
            return None
        return await self._opened(message_id)

    async def create(self, new: NewTicket, group_id: str | None) -> str:
        mail = compose.opened(self._address, new)
        await self._box.append(mail.as_bytes())
        return await self._opened(mail["Message-ID"])

    async def _opened(self, message_id: str) -> str:
        """The ticket of a mail that we put into the folder."""
        place = await self._box.visit(lambda folder: folder.found(message_id))
        if place is None:
            raise ConnectorUnavailable("The mailbox does not show yet what was put into it.")
        thread = hashed(message_id)[:THREAD_CHARS]
        await self._threads.sent(Sent("opened", message_id, thread, place))
        return thread

    def _known_start(self, folder: Folder, after: Position) -> Start | None:
        """Right behind the position; None where it says nothing about this folder as it is now."""
        place = Place.of(after.id) if after.id else None
        return Start(place.uid + 1) if place and place.validity == folder.validity else None

    async def _first_start(self, after: Position) -> Start:
        """
        The first time, and when the server numbers its mails anew: from the beginning. What was heard before is known
        by its key; what was there before we listened is left alone.
        """
        folder = await self._box.visit(lambda folder: folder)
        below, begun_at = await self._threads.begin(folder, after.at - LAG)
        return Start(1, begun_at if after.id else after.at - LAG, below)

    def _page(self, folder: Folder, start: Start | None) -> list[tuple[Mail, Start]] | None:
        """Parsed here too, in the thread of the visit: a large mail holds up nothing else."""
        if start is None:
            return None
        uids = folder.uids(start.uid, start.since, limit=PAGE)
        raws = (folder.read(uid, limit_bytes=self._own.reads_bytes) for uid in uids)
        return [(read(raw), start) for raw in raws if raw is not None]

    async def _changed(self, mail: Mail, at: datetime, start: Start) -> Changed:
        """A mail that begins a thread is a ticket, any other one a comment on it."""
        place, known = str(mail.raw.place), await self._threads.thread_of(mail)
        thread = known or mail.key[:THREAD_CHARS]
        if why := self._why_unheard(mail, known, start):
            if is_bounce(mail) and (came_back := await self._came_back(mail, at)):
                return came_back
            await self._threads.moved(mail)
            return Changed(at, Ticket(connector=NAME, external_id=thread), place=place, why_ignored=why)
        await self._threads.keep(mail, thread)
        actor = mail.sender.email
        if thread == mail.key[:THREAD_CHARS]:
            ticket = Ticket(**self._fields(thread, mail), status=Status.NEW)
            return Changed(at, ticket, actor, key=mail.key, place=place)
        ticket, again = Ticket(connector=NAME, external_id=thread), await self._asks_again(mail, thread)
        return Changed(at, ticket, actor, _comment(mail), key=mail.key, place=place, asks_again=again)

    async def _came_back(self, mail: Mail, at: datetime) -> Changed | None:
        """A hand-over that did not arrive; None for anything else, an answer to whoever asked included."""
        message_id = returned(mail)
        thread = await self._threads.handed_over(message_id) if message_id else None
        if message_id is None or thread is None:
            return None
        lost = Lost(hashed(message_id), f"the hand-over came back undelivered (status {status_of(mail)})")
        return Changed(at, Ticket(connector=NAME, external_id=thread), place=str(mail.raw.place), lost=lost)

    def _why_unheard(self, mail: Mail, known: str | None, start: Start) -> str | None:
        if start.since and mail.raw.place.uid < start.below and mail.raw.at < start.since:
            return "it was there before"
        if mail.sender.email in self._own.own and known is None:
            return "it is from our own address"
        return why_automatic(mail, self._own)

    async def _asks_again(self, mail: Mail, thread: str) -> bool:
        """Whether whoever asked wrote to the mailbox alone: the team that has the ticket would not see it."""
        rows = await self._threads.rows(thread)
        asked = rows[0]["person"] if rows[0]["kind"] == "heard" else None
        group, _ = handed_over(rows)
        is_theirs = mail.sender.email is not None and hashed(mail.sender.email) == asked
        return is_theirs and self._handing.team(group).address not in mail.recipients

    def _fields(self, external_id: str, mail: Mail) -> dict[str, Any]:
        attached = [vars(one) for one in mail.attachments]
        return {
            "connector": NAME,
            "external_id": external_id,
            "subject": mail.subject,
            "body": mail.text,
            "requester": asked_by(mail, self._own),
            "created_at": mail.raw.at,
            "metadata": {"attachments": attached} if attached else {},
        }


def _comment(mail: Mail) -> Comment:
    return Comment(body=new_text(mail.text), public=True, author_id=mail.sender.email, at=mail.raw.at)
