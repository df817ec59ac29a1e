"""Every connector by name: what `POST /hooks/{connector}` may say."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx
from psycopg_pool import AsyncConnectionPool

from services.core.connectors.desk import NAME as DESK
from services.core.connectors.desk import Desk
from services.core.connectors.generic import Generic
from services.core.connectors.port import Connector
from services.core.connectors.settings import ConnectorSettings
from services.core.connectors.zendesk.connector import Zendesk

Builder = Callable[[ConnectorSettings, AsyncConnectionPool[Any], httpx.AsyncClient], Connector]

BUILDERS: Mapping[str, Builder] = {
    "desk": lambda settings, pool, http: Desk(settings, pool),
    "generic": lambda settings, pool, http: Generic(settings, http),
    "zendesk": lambda settings, pool, http: Zendesk(settings, http),
}


def build_connectors(
    settings: ConnectorSettings, *, pool: AsyncConnectionPool[Any], http: httpx.AsyncClient
) -> Mapping[str, Connector]:
    """
    The connectors that have a secret, and the desk: tickets that come as plain JSON live there, and writing to it needs
    none. `pool` and `http` belong to the caller and outlive them.
    """
    wanted = {name for name in BUILDERS if name == DESK or settings.has_secret_for(name)}
    return {name: build(settings, pool, http) for name, build in BUILDERS.items() if name in wanted}
