"""What may be configured about ServiceNow."""

from typing import Literal, Self

import httpx
from pydantic import model_validator

from services.core.connectors.port import Connector
from services.core.connectors.settings import ConnectorSettings, HttpUrl, PlainSecret
from services.core.kit.database import Pool


class ServiceNowSettings(ConnectorSettings):
    """
    `user` is the integration user's name, with `password`, or with `client_id` and `client_secret` where its tokens
    come from OAuth client credentials. `groups_by`: what the label catalogue calls an assignment group by.
    """

    base_url: HttpUrl | None = None
    user: str | None = None
    password: PlainSecret | None = None
    client_id: str | None = None
    client_secret: PlainSecret | None = None
    groups_by: Literal["name", "sys_id"] = "name"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.base_url and not (self.password or (self.client_id and self.client_secret)):
            raise ValueError("base_url needs password, or client_id with client_secret.")
        if self.base_url and not self.user:
            raise ValueError("user is missing: without it we would answer our own updates. Give e.g. pointsman.")
        return self

    def build(self, http: httpx.AsyncClient, pool: Pool) -> Connector:
        from services.core.connectors.servicenow.connector import ServiceNow

        return ServiceNow(self, http)
