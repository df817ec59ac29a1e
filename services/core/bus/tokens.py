"""The workload's own identity as a token for its bus: the same sign-in as for the database, for another audience."""

from collections.abc import Callable

import psycopg

from services.core.kit.errors import ConnectorUnavailable
from services.core.kit.login import entra_token, google_token

SERVICE_BUS = "https://servicebus.azure.net"
PUBSUB = "https://www.googleapis.com/auth/pubsub"


def service_bus_token() -> str:
    return _get(entra_token, SERVICE_BUS)


def pubsub_token() -> str:
    return _get(google_token, PUBSUB)


def _get(token: Callable[[str], str], audience: str) -> str:
    try:
        return token(audience)
    except psycopg.OperationalError as exc:  # the sign-in's own word for "not now"
        raise ConnectorUnavailable(f"The bus needs a token: {exc}") from exc
