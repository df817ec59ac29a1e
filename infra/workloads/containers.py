"""What each container is: image, port, health, room, and whom it calls. Everything rendered is read here."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Target(StrEnum):
    """Whom a container opens connections to."""

    DATABASE = "database"
    ROUTER = "router"
    WORKER = "worker"  # for predictions; tickets reach it through the database
    OBJECTS = "objects"
    SYSTEMS = "systems"  # ticketing systems, by HTTPS
    MAIL = "mail"  # a mailbox, and the server that takes ours
    MODELS = "models"  # the cloud's language models
    EVENTS = "events"
    SECRETS = "secrets"
    TELEMETRY = "telemetry"


@dataclass(frozen=True)
class Needs:
    """Requests and limits. Memory is limited, the processor is not: a throttled container is slow for no gain."""

    cpu_m: int
    memory_mib: int
    memory_max_mib: int


@dataclass(frozen=True)
class Container:
    """
    `image` names the one it shares, if any. A job has no port; `live` empty: an open port is life enough.
    `predict` is a second port, which only the gateway calls.
    """

    name: str
    calls: frozenset[Target]
    needs: Needs
    port: int = 0
    predict: int = 0
    ready: str = ""
    live: str = ""
    image: str = ""

    @property
    def ports(self) -> dict[str, int]:
        return {name: port for name, port in (("http", self.port), ("predict", self.predict)) if port}

    @property
    def from_image(self) -> str:
        return self.image or self.name


T = Target
# At most 80, 258, 227, 266 and 92 MiB (gateway, router, worker, chat, migrator), images beside 60 tickets:
# `python -m infra.images --images images.json --tickets 60` of 2026-11-21. Fine-tuning is as seen on a laptop.
_ALL = (
    Container(
        "gateway",
        frozenset({T.DATABASE, T.ROUTER, T.WORKER, T.TELEMETRY}),
        Needs(100, 128, 512),
        port=8080,
        ready="/health",
    ),
    Container(
        "router",
        frozenset({T.DATABASE, T.OBJECTS, T.TELEMETRY}),
        Needs(500, 288, 768),
        port=8081,
        ready="/v2/health/ready",
        live="/v2/health/live",
    ),
    Container(
        "worker",
        frozenset({T.DATABASE, T.ROUTER, T.OBJECTS, T.SYSTEMS, T.MAIL, T.MODELS, T.EVENTS, T.TELEMETRY}),
        Needs(250, 288, 1024),
        port=8083,
        predict=8086,
        ready="/metrics",
        live="/metrics",
    ),
    Container(
        "rag",
        frozenset({T.DATABASE, T.ROUTER, T.OBJECTS, T.SYSTEMS, T.MAIL, T.MODELS, T.TELEMETRY}),
        Needs(100, 320, 1024),
        port=8084,
        ready="/health",
    ),
    Container("trainer", frozenset({T.DATABASE, T.OBJECTS}), Needs(1000, 3072, 8192)),
    Container("migrator", frozenset({T.DATABASE, T.SECRETS}), Needs(100, 128, 512), image="worker"),
)
CONTAINERS: Mapping[str, Container] = {one.name: one for one in _ALL}
SERVING = tuple(one for one in _ALL if one.port)
IMAGES = tuple(sorted({one.from_image for one in _ALL}))
USER = 10001  # numeric: `runAsNonRoot` cannot judge a name
