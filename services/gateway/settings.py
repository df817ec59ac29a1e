"""What may be configured about the gateway."""

from pydantic import Field

from services.core.connectors.registry import ConnectorsSettings
from services.core.kit.settings import PlatformSettings


class GatewaySettings(PlatformSettings):
    """
    Rates are per caller (hooks: per connector) and minute; failed
    sign-ins per address: the peer's, unless `trusted_proxies` names the peer as one whose X-Forwarded-For is believed.
    """

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8080, ge=1, le=65535)
    gateway_pool_size: int = Field(default=8, ge=1)  # connections for pages and the API
    gateway_intake_pool_size: int = Field(default=4, ge=2)  # for deliveries and health: no page can take them
    router_url: str = "http://127.0.0.1:8081"
    worker_url: str = "http://127.0.0.1:8086"  # for predictions only: tickets reach it through the database
    max_body_bytes: int = Field(default=1_048_576, ge=1024)
    body_timeout_s: float = Field(default=15, gt=0)
    head_timeout_s: float = Field(default=10, gt=0)
    connections_max: int = Field(default=1_000, ge=1)
    trusted_proxies: tuple[str, ...] = ()
    failed_sign_ins_per_minute: int = Field(default=30, ge=1)
    hook_rate_per_minute: int = Field(default=60_000, ge=1)
    api_rate_per_minute: int = Field(default=6_000, ge=1)
    review_hold_s: float = Field(default=5, ge=0, le=300)  # an answer may be taken back before anybody is told of it
    cors_origins: tuple[str, ...] = ()
    connectors: ConnectorsSettings = ConnectorsSettings()
