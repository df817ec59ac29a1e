"""What may be configured about Zendesk: `POINTSMAN_CONNECTORS__ZENDESK__<FIELD>`."""

from typing import TYPE_CHECKING, Self

import httpx
from pydantic import model_validator

from services.core.connectors.settings import ConnectorSettings, HttpUrl, PlainSecret
from services.core.kit.database import Pool

if TYPE_CHECKING:
    from services.core.connectors.zendesk.connector import Zendesk


class ZendeskSettings(ConnectorSettings):
    """
    Either `oauth_token`, or `email` with `api_token`. `user_id` is the user they belong to, so that our own updates can
    be told from people's. Without `base_url` the connector only listens.
    """

    base_url: HttpUrl | None = None
    email: str | None = None
    api_token: PlainSecret | None = None
    oauth_token: PlainSecret | None = None
    user_id: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        has_credentials = self.oauth_token or (self.email and self.api_token)
        if self.base_url and not has_credentials:
            raise ValueError("base_url needs oauth_token, or email with api_token.")
        if self.base_url and not self.user_id:
            raise ValueError("user_id is missing: without it we would answer our own updates. Give e.g. 903.")
        return self

    def build(self, http: httpx.AsyncClient, pool: Pool) -> "Zendesk":
        from services.core.connectors.zendesk.connector import Zendesk

        return Zendesk(self, http)
