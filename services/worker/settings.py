"""What may be configured about the worker."""

import re
import socket
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.core.connectors.registry import ConnectorsSettings
from services.core.kit.settings import PlatformSettings
from services.core.llm.config import LlmConfig
from services.worker.notify.settings import NotifySettings


class Filters(BaseModel):
    """
    Tickets that are left alone. Subjects are regular expressions searched without regard to case; requesters are
    e-mail addresses, or `@example.com` for a whole domain.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    excluded_subjects: tuple[str, ...] = ()
    excluded_requesters: tuple[str, ...] = ()
    skip_grouped: bool = True

    @field_validator("excluded_subjects")
    @classmethod
    def _compiles(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if not pattern.strip():
                raise ValueError("an empty expression is in every subject. For example: ^out of office")
            try:
                re.compile(pattern)
            except re.error as exc:
                raise ValueError(
                    f"'{pattern}' is not a regular expression ({exc}). For example: ^out of office"
                ) from exc
        return patterns

    @cached_property
    def subject_patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(pattern, re.IGNORECASE) for pattern in self.excluded_subjects)


class WorkerSettings(PlatformSettings):
    """`worker_id` must be the same after a restart (the pod's name), so that a restart resumes its own work at once."""

    worker_id: str = Field(default_factory=socket.gethostname, min_length=1, max_length=200)
    worker_concurrency: int = Field(default=24, ge=1)  # tickets of one system in flight: most of a ticket is waiting
    worker_pool_size: int = Field(default=12, ge=2)
    worker_metrics_host: str = "127.0.0.1"  # 0.0.0.0 in a container, for Prometheus
    worker_metrics_port: int = Field(default=8083, ge=1, le=65535)
    queue_poll_s: float = Field(default=0.1, gt=0)
    worker_host: str = "127.0.0.1"  # where the gateway asks for predictions; 0.0.0.0 in a container
    worker_port: int = Field(default=8086, ge=1, le=65535)
    router_url: str = "http://127.0.0.1:8081"
    router_timeout_s: float = Field(default=5.0, gt=0)
    router_patience_s: float = Field(
        default=30, ge=0, description="how long a ticket waits for it; then a person has it"
    )
    shadow: bool = False
    events_url: str | None = Field(default=None, description="where events go: a bus's topic, or any HTTP sink")
    lake_url: str | None = Field(default=None, description="where the days of the event lake go")
    audit_anchor_s: float = Field(default=600, gt=0, description="how often the chain's head is kept outside")
    filters: Filters = Filters()
    notify: NotifySettings = NotifySettings()
    connectors: ConnectorsSettings = ConnectorsSettings()
    llm: LlmConfig = LlmConfig()
