"""What may be configured about the gateway."""

from typing import Literal

from pydantic import Field

from services.core.connectors.settings import ConnectorSettings
from services.core.kit.settings import PlatformSettings


class GatewaySettings(PlatformSettings):
    """
    `console_loopback_role` opens the console without a key to callers from this machine itself; the laptop sets it,
    a deployment behind a load balancer must not. Rates are per caller (hooks: per connector) and minute.
    """

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8080, ge=1, le=65535)
    gateway_pool_size: int = Field(default=12, ge=1)
    router_url: str = "http://127.0.0.1:8081"
    max_body_bytes: int = Field(default=1_048_576, ge=1024)
    hook_rate_per_minute: int = Field(default=60_000, ge=1)
    api_rate_per_minute: int = Field(default=6_000, ge=1)
    cors_origins: tuple[str, ...] = ()
    console_loopback_role: Literal["", "viewer", "agent", "admin"] = ""
    connectors: ConnectorSettings = ConnectorSettings()
