"""Where the laptop keeps everything: database, objects, secrets, logs, and who is running."""

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.core.kit.errors import ConfigurationInvalid
from services.local.postgres import EmbeddedPostgres

OWNERS = 0o700
WORKER_ID = "local-worker"


class LocalSettings(BaseSettings):
    """
    What may be configured about the laptop. Ports: gateway, router (REST, gRPC), worker metrics, chat, a system beside
    the platform, worker, database.
    """

    model_config = SettingsConfigDict(env_prefix="POINTSMAN_", frozen=True, extra="ignore")

    home: Path = Path(".pointsman")
    gateway_port: int = Field(default=8080, ge=1, le=65535)
    router_http_port: int = Field(default=8081, ge=1, le=65535)
    router_grpc_port: int = Field(default=8082, ge=1, le=65535)
    worker_metrics_port: int = Field(default=8083, ge=1, le=65535)
    rag_port: int = Field(default=8084, ge=1, le=65535)
    system_port: int = Field(default=8085, ge=1, le=65535)
    worker_port: int = Field(default=8086, ge=1, le=65535)
    postgres_port: int = Field(default=5433, ge=1, le=65535)
    company: str = "default"


@dataclass(frozen=True)
class Home:
    """
    The laptop's folder. Nothing in it is needed elsewhere; deleting it starts afresh.

    `connected`: the containers' settings for a ticketing system that runs beside them.
    """

    settings: LocalSettings
    connected: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def folder(self) -> Path:
        return self.settings.home.absolute()

    @cached_property
    def postgres(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self.folder / "postgres", self.settings.postgres_port)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def running_file(self) -> Path:
        """Process ids of the supervisor's children, with their start times; there while it runs or was killed."""
        return self.folder / "running.json"

    @property
    def lock_file(self) -> Path:
        """Held by the one process that runs the platform here; names it."""
        return self.folder / "lock"

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.gateway_port}"

    @property
    def rag_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.rag_port}"

    def prepare(self) -> None:
        """
        Makes the folders.

        Raises:
            ConfigurationInvalid: the folder cannot be written.
        """
        try:
            self._make()
            self.logs.mkdir(mode=OWNERS, exist_ok=True)
            (self.folder / "objects").mkdir(mode=OWNERS, exist_ok=True)
        except OSError as exc:
            raise ConfigurationInvalid(
                f"Cannot write {self.folder}: {exc.strerror}. Free disk space, or set POINTSMAN_HOME to another folder."
            ) from exc

    @cached_property
    def secrets(self) -> Mapping[str, str]:
        """Secrets of this laptop, made once: `desk`, `generic` and `zendesk` sign webhooks."""
        file = self.folder / "secrets.json"
        if not file.exists():
            made = {name: _webhook_secret() for name in ("desk", "generic")} | {"zendesk": secrets.token_urlsafe(32)}
            self.write_private(file, json.dumps(made))
        return json.loads(file.read_text("utf-8"))

    def environment(self) -> dict[str, str]:
        """The containers' settings: what the user has set wins, but where everything lies and listens is ours."""
        return self._defaults() | dict(os.environ) | dict(self.connected) | self._fixed()

    def ignored(self) -> list[str]:
        """Variables that the user has set to something else than `up` uses."""
        return [name for name, value in self._fixed().items() if os.environ.get(name, value) != value]

    def _fixed(self) -> dict[str, str]:
        """Set for a deployment, these would let `up` work on that deployment's data."""
        settings = self.settings
        return {
            "POINTSMAN_DATABASE_URL": self.postgres.url,
            "POINTSMAN_OBJECTS_URL": f"file://{self.folder / 'objects'}",
            "POINTSMAN_COMPANY": settings.company,
            "POINTSMAN_GATEWAY_PORT": str(settings.gateway_port),
            "POINTSMAN_ROUTER_HTTP_PORT": str(settings.router_http_port),
            "POINTSMAN_ROUTER_GRPC_PORT": str(settings.router_grpc_port),
            "POINTSMAN_ROUTER_URL": f"http://127.0.0.1:{settings.router_http_port}",
            "POINTSMAN_RAG_PORT": str(settings.rag_port),
            "POINTSMAN_WORKER_ID": WORKER_ID,
            "POINTSMAN_WORKER_PORT": str(settings.worker_port),
            "POINTSMAN_WORKER_URL": f"http://127.0.0.1:{settings.worker_port}",
            "POINTSMAN_WORKER_METRICS_PORT": str(settings.worker_metrics_port),
        }

    def _defaults(self) -> dict[str, str]:
        return {
            "POINTSMAN_ROUTER_CACHE_DIR": str(self.folder / "models"),
            "POINTSMAN_ROUTER_POLL_S": "2",
            "POINTSMAN_RAG_PUBLIC": "true",  # listens on 127.0.0.1 only
            "POINTSMAN_RAG_INDEX_CASES": "true",
            "POINTSMAN_RAG_POLL_S": "2",
            **{
                f"POINTSMAN_CONNECTORS__{name.upper()}__SECRETS": json.dumps([secret])
                for name, secret in self.secrets.items()
            },
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "OMP_NUM_THREADS": "1",
        }

    def write_private(self, file: Path, text: str) -> None:
        """Writes a file only its owner can read, whole or not at all."""
        self._make()
        draft = file.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(text, "utf-8")
        draft.replace(file)

    def _make(self) -> None:
        """Its owner's alone; as root PostgreSQL is another user, and passes through."""
        self.folder.mkdir(mode=OWNERS | 0o011 if os.geteuid() == 0 else OWNERS, parents=True, exist_ok=True)


def _webhook_secret() -> str:
    """Standard Webhooks' spelling: `whsec_` and base64 of 24 to 64 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
