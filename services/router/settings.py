"""What the router may be told: environment variables POINTSMAN_ROUTER_*, or flags of `python -m services.router`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.core.kit.settings import PlatformSettings

Port = Annotated[int, Field(ge=1, le=65_535)]


class RouterSettings(PlatformSettings):
    """
    `router_model_dir` serves one bundle folder for ever; without it the champion is served and followed.

    `database_url` may be absent only when `router_model_dir` is set.
    """

    model_config = SettingsConfigDict(protected_namespaces=())

    database_url: SecretStr = SecretStr("")  # empty: none; __main__ checks it against router_model_dir
    router_host: str = "127.0.0.1"
    router_http_port: Port = 8081
    router_grpc_port: Port = 8082
    router_model_dir: Path | None = None
    router_cache_dir: Path = Path(".pointsman/models")
    body_timeout_s: float = Field(default=15, gt=0)
    head_timeout_s: float = Field(default=10, gt=0)
    router_poll_s: float = Field(default=10.0, gt=0, description="how often the registry is asked for a new champion")
    router_threads: int = Field(default=1, ge=1, description="ONNX Runtime threads; scale by replicas, not threads")
    router_batch_max: int = Field(default=32, ge=1)
    router_queue_max: int = Field(default=512, ge=1, description="texts that may wait; more are answered 503")
    router_request_max: int = Field(default=256, ge=1, description="texts in one request; more are answered 400")
