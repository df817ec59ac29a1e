"""What may be configured about Request Tracker."""

from typing import Self

import httpx
from pydantic import model_validator

from services.core.connectors.port import Connector
from services.core.connectors.settings import ConnectorSettings, HttpUrl, PlainSecret
from services.core.kit.database import Pool


class RequestTrackerSettings(ConnectorSettings):
    """
    `base_url` with `token` (RT's authentication tokens) or `user` and `password`; `user` is who our token belongs to.

    Tickets in `intake_queues` have no group yet; every other queue is a group. `intake_queues[0]` takes what we open.
    """

    base_url: HttpUrl | None = None
    user: str | None = None
    password: PlainSecret | None = None
    token: PlainSecret | None = None
    intake_queues: tuple[str, ...] = ("General",)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.base_url and not (self.token or self.password):
            raise ValueError("base_url needs token, or user with password.")
        if self.base_url and not self.user:
            raise ValueError("user is missing: without it we would answer our own updates. Give e.g. pointsman.")
        if self.base_url and not self.intake_queues:
            raise ValueError("intake_queues is empty. Name the queue where new tickets arrive, e.g. General.")
        return self

    def build(self, http: httpx.AsyncClient, pool: Pool) -> Connector:
        from services.core.connectors.request_tracker.connector import RequestTracker

        return RequestTracker(self, http)
