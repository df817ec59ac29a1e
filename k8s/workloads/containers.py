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
    `calls` says of each target why: its wall carries the words. `image` names the one it shares, if any. A job has no
    port; `live` empty: an open port is life enough. `predict` is a second port, which only the gateway calls.
    """

    name: str
    calls: Mapping[Target, str]
    needs: Needs
    port: int = 0
    predict: int = 0
    ready: str = ""
    live: str = ""
    image: str = ""
    called: str = ""  # the name of its Service, where it is not its own

    @property
    def service(self) -> str:
        return self.called or self.name

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
        {
            T.DATABASE: "takes deliveries in, shows the console",
            T.ROUTER: "whether it is ready, and whether it could serve a version that somebody promotes",
            T.WORKER: "predictions are redacted there",
            T.TELEMETRY: "traces",
        },
        Needs(100, 128, 512),
        port=8080,
        ready="/health",
    ),
    Container(
        "router",
        {
            T.DATABASE: "which model is the champion",
            T.OBJECTS: "the model's files",
            T.TELEMETRY: "traces",
        },
        Needs(500, 288, 768),
        port=8081,
        ready="/v2/health/ready",
        live="/v2/health/live",
        called="routers",  # KServe makes Services of the name for itself
    ),
    Container(
        "worker",
        {
            T.DATABASE: "the tickets' workflows",
            T.ROUTER: "which group a ticket belongs to",
            T.OBJECTS: "heads of the audit log, and the event lake",
            T.SYSTEMS: "reads tickets and writes decisions back",
            T.MAIL: "a mailbox as a ticketing system, and notices",
            T.MODELS: "priority and summary",
            T.EVENTS: "what happened, for others",
            T.TELEMETRY: "traces",
        },
        Needs(250, 288, 1024),
        port=8083,
        predict=8086,
        ready="/metrics",
        live="/metrics",
    ),
    Container(
        "rag",
        {
            T.DATABASE: "conversations and what answers are found in",
            T.ROUTER: "which group a hand-over belongs to",
            T.OBJECTS: "the text encoder's files",
            T.SYSTEMS: "hand-overs become tickets",
            T.MAIL: "hand-overs by mail",
            T.MODELS: "answers in words",
            T.TELEMETRY: "traces",
        },
        Needs(100, 320, 1024),
        port=8084,
        ready="/health",
    ),
    Container(
        "trainer",
        {T.DATABASE: "closed tickets, and the register of models", T.OBJECTS: "the model's files"},
        Needs(1000, 3072, 8192),
    ),
    Container(
        "migrator",
        {T.DATABASE: "schema, users and grants", T.SECRETS: "the administrator's password, on AWS"},
        Needs(100, 128, 512),
        image="worker",
    ),
)
CONTAINERS: Mapping[str, Container] = {one.name: one for one in _ALL}
SERVING = tuple(one for one in _ALL if one.port)
SCRAPED = tuple(one.name for one in SERVING)  # each has /metrics; of a job the gateway tells
IMAGES = tuple(sorted({one.from_image for one in _ALL}))
COMPARING = Needs(250, 384, 1024)  # the trainer's image, asking one model: 153 MiB with a small one, a router 258
CANARY = "router-canary"  # beside them: a router of another version, on one pod
USER = 10001  # numeric: `runAsNonRoot` cannot judge a name
