"""Every connector by name: what `POST /hooks/{connector}` may say, and what may be configured."""

from collections.abc import Mapping

import httpx
from pydantic import BaseModel, ConfigDict

from services.core.connectors.desk import DeskSettings
from services.core.connectors.email.settings import EmailSettings
from services.core.connectors.freshservice.settings import FreshserviceSettings
from services.core.connectors.generic import GenericSettings
from services.core.connectors.hubspot.settings import HubSpotSettings
from services.core.connectors.jira.settings import JiraSettings
from services.core.connectors.port import Connector
from services.core.connectors.redmine.settings import RedmineSettings
from services.core.connectors.request_tracker.settings import RequestTrackerSettings
from services.core.connectors.servicenow.settings import ServiceNowSettings
from services.core.connectors.settings import ConnectorSettings
from services.core.connectors.zendesk.settings import ZendeskSettings
from services.core.kit.database import Pool


class ConnectorsSettings(BaseModel):
    """One line per connector: its name in addresses and settings, and its own settings class, which builds it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    desk: DeskSettings = DeskSettings()
    email: EmailSettings = EmailSettings()
    freshservice: FreshserviceSettings = FreshserviceSettings()
    generic: GenericSettings = GenericSettings()
    hubspot: HubSpotSettings = HubSpotSettings()
    jira: JiraSettings = JiraSettings()
    redmine: RedmineSettings = RedmineSettings()
    request_tracker: RequestTrackerSettings = RequestTrackerSettings()
    servicenow: ServiceNowSettings = ServiceNowSettings()
    zendesk: ZendeskSettings = ZendeskSettings()

    def of(self, connector: str) -> ConnectorSettings:
        return getattr(self, connector)


def build_connectors(settings: ConnectorsSettings, *, pool: Pool, http: httpx.AsyncClient) -> Mapping[str, Connector]:
    """The connectors that are switched on. `pool` and `http` belong to the caller and outlive them."""
    found = {name: settings.of(name) for name in ConnectorsSettings.model_fields}
    return {name: one.build(http, pool) for name, one in found.items() if one.is_on}
