"""What may be configured about Redmine."""

from typing import Literal, Self

import httpx
from pydantic import model_validator

from services.core.connectors.port import Connector
from services.core.connectors.settings import ConnectorSettings, HttpUrl, PlainSecret, PriorityNames
from services.core.contracts.ticket import Priority
from services.core.kit.database import Pool

PRIORITY_NAMES = {priority: priority.capitalize() for priority in Priority}


class RedmineSettings(ConnectorSettings):
    """
    `api_key` belongs to the user `user_id`, the number in the address of its page. Tickets arrive in `project`.

    `group_is`: a category of that project, a group of people as assignee, or any other project.
    """

    base_url: HttpUrl | None = None
    api_key: PlainSecret | None = None
    user_id: str | None = None
    project: str | None = None
    group_is: Literal["category", "assignee", "project"] = "category"
    priority_names: PriorityNames = PRIORITY_NAMES

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        missing = [name for name in ("api_key", "user_id", "project") if not getattr(self, name)]
        if self.base_url and missing:
            raise ValueError(f"base_url needs {' and '.join(missing)}, e.g. project=helpdesk and user_id=5.")
        return self

    def build(self, http: httpx.AsyncClient, pool: Pool) -> Connector:
        from services.core.connectors.redmine.connector import Redmine

        return Redmine(self, http)
