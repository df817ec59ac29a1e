"""Where notices go, and who hears of what and when: channels and rules, as data."""

from datetime import datetime, time
from enum import StrEnum
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from services.core.connectors.settings import HttpUrl, PlainSecret, WebhookSecret
from services.core.contracts.sla import DAYS, Weekday, is_zone
from services.core.kit.smtp import Smtp

EventKind = Literal["escalation", "dead_letter", "failed_gate", "sla_risk", "drift", "surge"]


class Severity(StrEnum):
    """Least first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


def _is_url(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().startswith(("https://", "http://127.0.0.1:")):
        raise ValueError("the address must begin with https://")
    return secret


SecretUrl = Annotated[SecretStr, AfterValidator(_is_url)]  # whoever has the address may post there


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)


class ChannelSettings(Part):
    """`at_most_every_s`: what happens in between comes in one message, so that a storm is not a storm of messages."""

    at_most_every_s: float = Field(default=300, ge=0)


class SlackWebhook(ChannelSettings):
    """An incoming webhook of a Slack app."""

    kind: Literal["slack_webhook"]
    url: SecretUrl


class SlackBot(ChannelSettings):
    """A Slack app's bot with the scope chat:write, invited into `channel` (its id)."""

    kind: Literal["slack_bot"]
    token: PlainSecret
    channel: str = Field(min_length=1, max_length=100)
    base_url: HttpUrl = "https://slack.com/api"


class Teams(ChannelSettings):
    """The address of a Workflows flow "when a Teams webhook request is received"."""

    kind: Literal["teams"]
    url: SecretUrl


class Mail(ChannelSettings):
    kind: Literal["email"]
    to: tuple[Annotated[str, Field(pattern=r"^[^@\s,]+@[^@\s,]+$")], ...] = Field(min_length=1)
    smtp: Smtp


class Webhook(ChannelSettings):
    """Any receiver of Standard Webhooks."""

    kind: Literal["webhook"]
    url: SecretUrl
    secret: WebhookSecret


Channel = Annotated[SlackWebhook | SlackBot | Teams | Mail | Webhook, Field(discriminator="kind")]


class Quiet(Part):
    """
    Hours (`from` may be later than `to`: over midnight) and whole days in which nothing below `through` is told; it
    comes together when they are over.
    """

    since: time | None = Field(default=None, alias="from")
    until: time | None = Field(default=None, alias="to")
    days: tuple[Weekday, ...] = ()
    zone: Annotated[str, AfterValidator(is_zone)] = "UTC"
    through: Severity = Severity.CRITICAL

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.since is None) != (self.until is None):
            raise ValueError("from and to belong together, e.g. 22:00 and 07:00")
        if self.since is not None and self.since == self.until:
            raise ValueError("from and to are the same time; name whole days in `days` instead")
        return self

    def holds_back(self, severity: Severity, now: datetime) -> bool:
        if severity.rank >= self.through.rank:
            return False
        here = now.astimezone(ZoneInfo(self.zone))
        return DAYS[here.weekday()] in self.days or self._is_between(here.time().replace(tzinfo=None))

    def _is_between(self, now: time) -> bool:
        if self.since is None or self.until is None:
            return False
        if self.since < self.until:
            return self.since <= now < self.until
        return now >= self.since or now < self.until


class Rule(Part):
    """
    Tells channel `to` of these events, of these teams (none named: of all, and of what belongs to no team), from
    `severity` on.
    """

    to: str
    events: tuple[EventKind, ...] = get_args(EventKind)
    teams: tuple[str, ...] = ()
    severity: Severity = Severity.INFO
    quiet: Quiet | None = None


class NotifySettings(Part):
    """`console_url`: our own address as people open it, for links."""

    channels: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")], Channel] = {}
    rules: tuple[Rule, ...] = ()
    console_url: HttpUrl | None = None

    @model_validator(mode="after")
    def _fit(self) -> Self:
        for rule in self.rules:
            if rule.to not in self.channels:
                raise ValueError(
                    f"a rule tells '{rule.to}', which is no channel. There are: {', '.join(self.channels) or 'none'}; "
                    "channels and rules are read together"
                )
        if silent := sorted(set(self.channels) - {rule.to for rule in self.rules}):
            raise ValueError(f'no rule tells {", ".join(silent)} anything. Give it one, e.g. {{"to": "{silent[0]}"}}')
        return self
