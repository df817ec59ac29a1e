"""
What every connector's settings have in common. Each connector's own class lies in its own room.

They are read from `POINTSMAN_CONNECTORS__<CONNECTOR>__<FIELD>`; a name that no connector knows stops the start.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from services.core.connectors.door import webhook_key
from services.core.contracts.ticket import Priority
from services.core.kit.database import Pool
from services.core.kit.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from services.core.connectors.port import Connector


def _is_webhook_secret(secret: SecretStr) -> SecretStr:
    try:
        webhook_key(secret)
    except ConfigurationInvalid as exc:
        raise ValueError(exc.message) from exc
    return secret


def _is_not_blank(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError("A secret is blank. Remove it or give its value.")
    return secret


def _is_http_url(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url!r} is not a URL. Give e.g. https://example.zendesk.com")
    return url.rstrip("/")


def _are_all(names: Mapping[Priority, str]) -> Mapping[Priority, str]:
    if missing := [priority for priority in Priority if not names.get(priority, "").strip()]:
        raise ValueError(
            f"{', '.join(missing)} has no name. Give one for each of {', '.join(Priority)}; two may be alike."
        )
    return names


WebhookSecret = Annotated[SecretStr, AfterValidator(_is_webhook_secret)]
PlainSecret = Annotated[SecretStr, AfterValidator(_is_not_blank)]
HttpUrl = Annotated[str, AfterValidator(_is_http_url)]
PriorityNames = Annotated[Mapping[Priority, str], AfterValidator(_are_all)]


class ConnectorSettings(BaseModel):
    """
    A connector is on when it has a secret or is polled. Several secrets: the sender is moving from one to the next.

    `hook_url` is our address as the system calls it, for systems that sign it and a proxy that changes it.
    """

    # A refused value may be a mistyped secret: errors must not show it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    secrets: tuple[PlainSecret, ...] = ()
    hook_url: HttpUrl | None = None
    tolerance_s: float = Field(default=300, gt=0)  # Standard Webhooks and Zendesk both recommend five minutes
    timeout_s: float = Field(default=10, gt=0)  # one call to the system; the letter is tried again
    poll_every_s: float | None = Field(default=None, ge=1)  # only for systems that can be polled

    @property
    def is_on(self) -> bool:
        return bool(self.secrets) or self.poll_every_s is not None

    def build(self, http: httpx.AsyncClient, pool: Pool) -> "Connector":
        """The connector; both arguments belong to the caller and outlive it."""
        raise NotImplementedError
