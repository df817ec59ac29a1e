"""What may be configured about a mailbox, and the words of the mails we send: data, per team."""

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from services.core.connectors.port import Connector
from services.core.connectors.settings import ConnectorSettings
from services.core.kit.database import Pool
from services.core.kit.oauth import OAuth
from services.core.kit.smtp import LOOPBACK, Smtp

TO_TEAM = frozenset({"number", "subject", "group", "priority", "requester", "note", "conversation"})
TO_REQUESTER = frozenset({"number", "subject", "group", "priority"})  # never why: the note is the team's
HAND_OVER = """\
{note}

Ticket {number}. Group: {group}. Priority: {priority}. From: {requester}.
Your reply goes to whoever asked and to our mailbox. What was written, the newest first:

{conversation}
"""


def _template(known: frozenset[str]) -> AfterValidator:
    def check(text: str) -> str:
        for _, name, spec, how in string.Formatter().parse(text):
            if name is not None and (name not in known or spec or how):
                raise ValueError(
                    f"{{{name}}} is not known here, or not as it stands. Known: {', '.join(sorted(known))}."
                )
        return text

    return AfterValidator(check)


Address = Annotated[str, Field(max_length=320, pattern=r"^[\x21-\x7e]+@[A-Za-z0-9.-]+$"), AfterValidator(str.lower)]
ToTeam = Annotated[str, _template(TO_TEAM)]
ToRequester = Annotated[str, _template(TO_REQUESTER)]


class Imap(BaseModel):
    """
    An IMAP account. `security`: `tls` (port 993), `starttls` (143), or `none`, which only this machine's own server may
    have. `ca_file`: who signed the server's certificate, where that is not a public authority.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(min_length=1)
    port: int = Field(default=993, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "tls"
    user: str = Field(min_length=1)
    password: SecretStr | None = None
    oauth: OAuth | None = None
    folder: str = Field(default="INBOX", min_length=1, pattern=r'^[^"\\\x00-\x1f\x7f-\uffff]+$')
    ca_file: Path | None = None
    timeout_s: float = Field(default=20, gt=0)

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if (self.password is None) == (self.oauth is None):
            raise ValueError("user needs password or oauth, and not both")
        if self.security == "none" and self.host not in LOOPBACK:
            raise ValueError("security 'none' would read mail in the clear. Use tls or starttls.")
        return self


class Team(BaseModel):
    """Where a group's hand-overs go, in which words, and what its requesters are answered; without `answer` nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: Address
    subject: ToTeam = "[{number}] {subject}"
    text: ToTeam = HAND_OVER
    answer: ToRequester | None = None


class EmailSettings(ConnectorSettings):
    """
    `address` is where people write to, `aliases` what else leads there. `desk` takes what no team has. `machines` are
    addresses, or `@example.com` for a whole domain, whose automatic mail makes tickets all the same.
    """

    address: Address | None = None
    aliases: tuple[Address, ...] = ()
    imap: Imap | None = None
    smtp: Smtp | None = None
    desk: Team | None = None
    teams: Mapping[str, Team] = Field(default_factory=dict)
    answers_an_hour: int = Field(default=3, ge=0, description="to one address; more is a loop, or somebody's joke")
    machines: tuple[Annotated[str, Field(pattern=r"@"), AfterValidator(str.lower)], ...] = ()
    reads_bytes: int = Field(default=1_048_576, ge=1_024, description="of one mail; the rest is named, not read")
    attaches_bytes: int = Field(default=10_485_760, ge=0, description="larger mails are handed over without original")

    @property
    def own(self) -> frozenset[str]:
        return frozenset({self.address or "", *self.aliases} - {""})

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.secrets:
            raise ValueError("A mailbox is polled and never calls: leave secrets out, set poll_every_s and imap.")
        if self.is_on and not (self.address and self.imap):
            raise ValueError("poll_every_s needs address and imap, e.g. address=help@example.com.")
        if self.smtp and not self.desk:
            raise ValueError("smtp needs desk: who gets what no team has, e.g. desk={'address': 'lead@example.com'}.")
        if loops := self.own & {team.address for team in (*self.teams.values(), self.desk) if team}:
            raise ValueError(f"{min(loops)} is the mailbox itself: a hand-over to it would come back as mail.")
        return self

    def build(self, http: httpx.AsyncClient, pool: Pool) -> Connector:
        from services.core.connectors.email.connector import Email

        return Email(self, pool)
