"""What may be configured about Jira Service Management."""

from typing import Self

import httpx
from pydantic import Field, model_validator

from services.core.connectors.port import Connector
from services.core.connectors.settings import ConnectorSettings, HttpUrl, PlainSecret, PriorityNames
from services.core.contracts.ticket import Priority
from services.core.kit.database import Pool

PRIORITY_NAMES = {
    Priority.LOW: "Low", Priority.NORMAL: "Medium", Priority.HIGH: "High", Priority.URGENT: "Highest"
}  # fmt: skip


class JiraSettings(ConnectorSettings):
    """
    `email` with `api_token`; `account_id` is whose they are. `project` is a key; `issue_type` the id of the type of its
    issues. `group_field`: `components`, or a select field such as customfield_10050. With `request_type` (its id) and
    `request_type_field` what we open is a request of customers.
    """

    base_url: HttpUrl | None = None
    email: str | None = None
    api_token: PlainSecret | None = None
    account_id: str | None = None
    project: str = Field(default="", pattern=r"^([A-Z][A-Z0-9_]*)?$")
    issue_type: str = Field(default="", pattern=r"^\d*$")
    group_field: str = Field(default="components", pattern=r"^(components|customfield_\d+)$")
    request_type: str | None = None
    request_type_field: str = Field(default="customfield_10010", pattern=r"^customfield_\d+$")
    priority_names: PriorityNames = PRIORITY_NAMES

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        missing = [
            name for name in ("email", "api_token", "account_id", "project", "issue_type") if not getattr(self, name)
        ]
        if self.base_url and missing:
            raise ValueError(f"base_url needs {' and '.join(missing)}. Without account_id we would answer ourselves.")
        return self

    def build(self, http: httpx.AsyncClient, pool: Pool) -> Connector:
        from services.core.connectors.jira.connector import Jira

        return Jira(self, http)
