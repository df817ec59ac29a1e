"""What leaves by mail: the hand-over to a team, and the answer to whoever asked; each once it is out, noted."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage

import structlog
from psycopg.rows import DictRow

from services.core.connectors.email import compose
from services.core.connectors.email.automatic import asked_by, may_be_answered
from services.core.connectors.email.conversation import Conversations, handed_over, is_later, was_sent
from services.core.connectors.email.reading import Mail
from services.core.connectors.email.settings import EmailSettings, Team
from services.core.connectors.email.threads import Sent, hashed
from services.core.connectors.writing import Change
from services.core.kit.errors import ConnectorRejected
from services.core.kit.smtp import send_mail

log = structlog.get_logger()


@dataclass(frozen=True)
class Handing:
    """Sends for one mailbox."""

    settings: EmailSettings
    conversations: Conversations

    @property
    def address(self) -> str:
        return self.settings.address or ""

    async def hand_over(self, change: Change) -> None:
        """To the team, then the answer; each is noted once it is out, so that what is missing is all that is sent."""
        rows = await self.conversations.rows(change.external_id)
        mails = await self.conversations.read(rows)
        group = change.group or handed_over(rows)[0]
        team, message_id = self.team(group), compose.message_id_of(change.key, self.address)
        if not was_sent(rows, message_id):
            asked = asked_by(mails[0], self.settings).email
            conversation = compose.Conversation(mails, await self._not_had(rows, mails), asked)
            mail = compose.hand_over(self.address, team, change, conversation)
            await self._send(mail)
            newest, priority = mails[-1].raw.place, change.priority or handed_over(rows)[1]
            await self.conversations.threads.sent(
                Sent("handed_over", message_id, change.external_id, newest, None, group, priority)
            )
        answer_id = compose.message_id_of(compose.answer_key(change.key), self.address)
        if not was_sent(rows, answer_id):
            await self._answer(change, mails[0], answer_id)

    async def _answer(self, change: Change, first: Mail, message_id: str) -> None:
        """Once, to a person, and not too often; that there was none is noted too."""
        text, address = self.team(change.group).answer if change.group else None, asked_by(first, self.settings).email
        kind = "answered" if text and await self._may_answer(first, address) else "unanswered"
        if kind == "answered":
            try:
                await self._send(compose.answer(self.address, address or "", text or "", change, first))
            except ConnectorRejected as exc:  # their address is wrong: the team has the ticket all the same
                log.warning("email.answer.refused", ticket=change.external_id, error=exc.message)
        await self.conversations.threads.sent(Sent(kind, message_id, change.external_id, person=hashed(address or "")))

    async def _may_answer(self, first: Mail, address: str | None) -> bool:
        if address is None or compose.reachable(address) is None or not may_be_answered(first, address, self.settings):
            return False
        return await self.conversations.threads.answers(address) < self.settings.answers_an_hour

    async def _not_had(self, rows: Sequence[DictRow], mails: Sequence[Mail]) -> list[Mail]:
        """The mails that came since the last hand-over, whole, the newest first, as many as may be attached."""
        wanted, room = [], self.settings.attaches_bytes
        for mail in reversed([mail for mail in mails if is_later(mail, rows)]):
            room -= mail.raw.size_bytes
            if room < 0:
                break
            wanted.append(mail)
        return [mail for mail in await self.conversations.whole(wanted) if mail.raw.size_bytes == len(mail.raw.content)]

    def team(self, group: str | None) -> Team:
        team = self.settings.teams.get(group or "") or self.settings.desk
        if team is None:
            raise ConnectorRejected("Nobody takes hand-overs. Set smtp and desk of the connector email.")
        return team

    def is_out(self, rows: Sequence[DictRow], key: str) -> bool:
        """Hand-over and answer, or the note that there is none."""
        ids = (compose.message_id_of(one, self.address) for one in (key, compose.answer_key(key)))
        return all(was_sent(rows, one) for one in ids)

    async def _send(self, mail: EmailMessage) -> None:
        assert self.settings.smtp is not None  # `can` says so
        await send_mail(self.settings.smtp, mail)
