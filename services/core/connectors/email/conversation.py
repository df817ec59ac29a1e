"""The mails of a thread as they lie in the folder, and what we have sent about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import DictRow

from services.core.connectors.email.mailbox import Folder, Mailbox
from services.core.connectors.email.reading import Mail, read
from services.core.connectors.email.settings import EmailSettings
from services.core.connectors.email.threads import Threads, hashed
from services.core.contracts.ticket import Priority
from services.core.kit.errors import ConnectorUnavailable, NotFound

THREAD_MAX = 30  # mails of a thread that are read, and in memory at once: the first and the newest
LYING = frozenset({"heard", "opened"})  # in the folder


@dataclass(frozen=True)
class Conversations:
    """The threads of one mailbox."""

    settings: EmailSettings
    box: Mailbox
    threads: Threads

    async def rows(self, external_id: str) -> Sequence[DictRow]:
        rows = await self.threads.rows(external_id)
        if not any(row["kind"] in LYING for row in rows):
            raise NotFound(f"No thread {external_id[:40]!r} was heard in {self.box.name}.")
        return rows

    async def read(self, rows: Sequence[DictRow]) -> list[Mail]:
        """The thread's mails that are still there, the oldest first."""
        lying = [row for row in rows if row["kind"] in LYING]
        found = await self.box.visit(lambda folder: self._lying(folder, [lying[0], *lying[1:][1 - THREAD_MAX :]]))
        if not found:
            raise NotFound("All mails of the thread were deleted or moved away from the folder.")
        return found

    def _lying(self, folder: Folder, rows: Sequence[DictRow]) -> list[Mail]:
        """Where none lies under this UIDVALIDITY, the folder was numbered anew and was not heard again yet."""
        here = [row["uid"] for row in rows if row["uidvalidity"] == folder.validity]
        if not here:
            raise ConnectorUnavailable("The server numbers its mails anew; they are found again by the next poll.")
        raws = (folder.read(uid, limit_bytes=self.settings.reads_bytes) for uid in here)
        return [read(raw) for raw in raws if raw is not None]

    async def whole(self, mails: Sequence[Mail]) -> list[Mail]:
        """Read again where only the beginning was."""
        if all(mail.raw.size_bytes == len(mail.raw.content) for mail in mails):
            return list(mails)
        uids = [mail.raw.place.uid for mail in mails]
        found = await self.box.visit(
            lambda folder: [folder.read(u, limit_bytes=self.settings.attaches_bytes) for u in uids]
        )
        return [read(raw) for raw in found if raw is not None]


def was_sent(rows: Sequence[DictRow], message_id: str) -> bool:
    return any(row["message_id"] == hashed(message_id) for row in rows)


def handed_over(rows: Sequence[DictRow]) -> tuple[str | None, Priority | None]:
    """The group and priority of the last hand-over."""
    last = next((row for row in reversed(rows) if row["kind"] == "handed_over"), None)
    return (last["group"], last["priority"] and Priority(last["priority"])) if last else (None, None)


def is_later(mail: Mail, rows: Sequence[DictRow]) -> bool:
    """Whether it came after the last hand-over."""
    last = next((row for row in reversed(rows) if row["kind"] == "handed_over"), None)
    if last is None:
        return True
    place = mail.raw.place
    return place.uid > last["uid"] if place.validity == last["uidvalidity"] else mail.raw.at > last["at"]
