"""What may be configured about HubSpot."""

from collections.abc import Mapping
from typing import Self

import httpx
from pydantic import Field, model_validator

from services.core.connectors.port import Connector
from services.core.connectors.settings import ConnectorSettings, HttpUrl, PlainSecret
from services.core.contracts.ticket import Status
from services.core.kit.database import Pool

PROPERTY = r"^[a-z][a-z0-9_]*$"
STAGES = {"1": Status.NEW, "2": Status.PENDING, "3": Status.OPEN, "4": Status.SOLVED}  # of the pipeline HubSpot makes


class HubSpotSettings(ConnectorSettings):
    """
    `token` and `app_id` are the private app's; its client secret is the webhooks' secret, and `hook_url` our address as
    HubSpot has it, for it is signed. `group_property` is a dropdown of tickets, `stages` says what each stage means.
    `key_property` is a property with unique values: without it nothing can be opened once and only once.
    """

    base_url: HttpUrl = "https://api.hubapi.com"
    token: PlainSecret | None = None
    app_id: str | None = None
    pipeline: str = "0"
    stages: Mapping[str, Status] = STAGES
    group_property: str = Field(default="support_team", pattern=PROPERTY)
    key_property: str | None = Field(default=None, pattern=PROPERTY)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.token and not self.app_id:
            raise ValueError("token needs app_id: without it we would answer our own updates. Give e.g. 1234567.")
        return self

    def build(self, http: httpx.AsyncClient, pool: Pool) -> Connector:
        from services.core.connectors.hubspot.connector import HubSpot

        return HubSpot(self, http)
