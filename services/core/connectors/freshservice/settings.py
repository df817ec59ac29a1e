"""What may be configured about Freshservice."""

from typing import Self

import httpx
from pydantic import model_validator

from services.core.connectors.port import Connector
from services.core.connectors.settings import ConnectorSettings, HttpUrl, PlainSecret
from services.core.kit.database import Pool


class FreshserviceSettings(ConnectorSettings):
    """
    `api_key` belongs to the agent `agent_id`. The secrets are what its workflow sends as X-Pointsman-Token: it cannot
    sign. `opened_for` is who asks where a conversation that is handed over has no address.
    """

    base_url: HttpUrl | None = None
    api_key: PlainSecret | None = None
    agent_id: str | None = None
    opened_for: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        missing = [name for name in ("api_key", "agent_id") if not getattr(self, name)]
        if self.base_url and missing:
            raise ValueError(f"base_url needs {' and '.join(missing)}. Without agent_id we would answer ourselves.")
        return self

    def build(self, http: httpx.AsyncClient, pool: Pool) -> Connector:
        from services.core.connectors.freshservice.connector import Freshservice

        return Freshservice(self, http)
