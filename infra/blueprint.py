"""
The platform on one page: every capability, in the one order in which it is built, on any cloud.

Read `build` first. A cloud is complete when its `Provider` can be constructed; a stack promises `infra.contract`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

import pulumi
from pulumi import Input, Output

from infra import capabilities as c
from infra.grants import NAMESPACE
from infra.settings import CONTAINERS, Settings, parse
from infra.tags import tag_everything

F = TypeVar("F")
CAPABILITIES = [
    "foundation",
    "network",
    "keys",
    "observability",
    "objects",
    "database",
    "bus",
    "registry",
    "secrets",
    "models",
    "cluster",
    "identity",
    "edge",
    "alerts",
    "backup",
    "budget",
    "ci",
]


@dataclass(frozen=True)
class Provider(Generic[F]):
    """Which function builds which capability; `account` tells the account, subscription or project of a foundation."""

    account: Callable[[F], Input[str]]
    foundation: Callable[[c.Scope], F]
    network: Callable[[c.Scope, F], c.Network]
    keys: Callable[[c.Scope, F], c.Keys]
    observability: Callable[[c.Scope, F, c.Network, c.Keys], c.Observability]
    objects: Callable[[c.Scope, c.Ground[F]], c.Objects]
    database: Callable[[c.Scope, c.Ground[F]], c.Database]
    bus: Callable[[c.Scope, c.Ground[F]], c.Bus]
    registry: Callable[[c.Scope, c.Ground[F]], c.Registry]
    secrets: Callable[[c.Scope, c.Ground[F]], c.Secrets]
    models: Callable[[c.Scope, c.Ground[F]], c.Models]
    cluster: Callable[[c.Scope, c.Ground[F], c.Stores], c.Cluster]
    identity: Callable[[c.Scope, c.Ground[F], c.Stores, c.Cluster], c.Identity]
    edge: Callable[[c.Scope, c.Ground[F], c.Cluster], c.Edge]
    alerts: Callable[[c.Scope, c.Ground[F], c.Stores, c.Edge], None]
    backup: Callable[[c.Scope, c.Ground[F], c.Stores], None]
    budget: Callable[[c.Scope, c.Ground[F]], None]
    ci: Callable[[c.Scope, c.Ground[F], c.Stores, c.Cluster], c.Ci]


def build(provider: Provider[F], settings: Settings) -> dict[str, Any]:
    """Register every resource of a stack and return its contract (values may still be outputs)."""

    def scope(kind: str) -> c.Scope:
        return c.Scope(settings, pulumi.ComponentResource(f"pointsman:index:{kind.capitalize()}", kind))

    foundation = provider.foundation(scope("foundation"))
    network = provider.network(scope("network"), foundation)
    keys = provider.keys(scope("keys"), foundation)
    observability = provider.observability(scope("observability"), foundation, network, keys)
    ground = c.Ground(foundation, network, keys, observability)
    stores = c.Stores(
        objects=provider.objects(scope("objects"), ground),
        database=provider.database(scope("database"), ground),
        bus=provider.bus(scope("bus"), ground),
        registry=provider.registry(scope("registry"), ground),
        secrets=provider.secrets(scope("secrets"), ground),
        models=provider.models(scope("models"), ground),
    )
    cluster = provider.cluster(scope("cluster"), ground, stores)
    identity = provider.identity(scope("identity"), ground, stores, cluster)
    edge = provider.edge(scope("edge"), ground, cluster)
    provider.alerts(scope("alerts"), ground, stores, edge)
    provider.backup(scope("backup"), ground, stores)
    provider.budget(scope("budget"), ground)
    ci = provider.ci(scope("ci"), ground, stores, cluster)
    return {
        **_who(settings, provider.account(foundation)),
        **_ground(ground),
        **_stores(settings, stores, identity),
        **_running(cluster, identity, edge, ci),
        "options": _options(settings),
    }


def main() -> None:
    """The whole program of a stack: settings in, resources registered, contract out."""
    cloud = pulumi.get_project().removeprefix("pointsman-")
    settings = parse(cloud, pulumi.get_stack(), pulumi.Config().require_object("settings"))
    tag_everything(settings.required_tags)
    provider = import_module(f"infra.{settings.cloud}").provider()
    pulumi.export("contract", build(provider, settings))


def _who(settings: Settings, account: Input[str]) -> dict[str, Any]:
    return {
        "version": 1,
        "application": settings.application,
        "cloud": settings.cloud.value,
        "profile": settings.profile.value,
        "region": settings.region,
        "account": account,
    }


def _ground(ground: c.Ground[Any]) -> dict[str, Any]:
    watch = ground.observability
    return {
        "network": {"id": ground.network.id},
        "keys": {"data": ground.keys.data},
        "observability": {"logs": watch.logs, "metrics": watch.metrics, "alerts": watch.alerts},
    }


def _stores(settings: Settings, stores: c.Stores, identity: c.Identity) -> dict[str, Any]:
    database, bus, secrets, models = stores.database, stores.bus, stores.secrets, stores.models
    urls = stores.objects.urls
    return {
        "database": {
            "host": database.host,
            "port": 5432,
            "name": database.name,
            "auth": database.auth,
            "users": dict(identity.users),
            "admin": identity.admin,
        },
        "objects": {"documents": urls["documents"], "models": urls["models"], "lake": urls.get("lake", "")},
        "bus": {"kind": bus.kind, "topic": bus.topic, "queue": bus.queue, "dead_letters": bus.dead_letters},
        "registry": {"url": stores.registry.url, "images": _images(settings, stores.registry.url)},
        "secrets": {"kind": secrets.kind, "store": secrets.store, "connectors": dict(secrets.connectors)},
        "models": {"kind": models.kind, "endpoint": models.endpoint, "names": list(models.names)},
    }


def _running(cluster: c.Cluster, identity: c.Identity, edge: c.Edge, ci: c.Ci) -> dict[str, Any]:
    return {
        "cluster": {
            "name": cluster.name,
            "kind": cluster.kind,
            "endpoint": cluster.endpoint,
            "namespace": NAMESPACE,
            "deploy": cluster.deploy,
        },
        "identity": {"kind": identity.kind, "principals": dict(identity.principals)},
        "edge": {
            "hostname": edge.hostname,
            "address": edge.address,
            "entry": edge.entry,
            "waf": edge.waf,
            "front_door_id": edge.front_door_id,
        },
        "ci": {"principal": ci.principal},
    }


def _images(settings: Settings, url: Input[str]) -> dict[str, Input[str]]:
    return {name: settings.options.images.get(name) or Output.concat(url, "/", name) for name in CONTAINERS}


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "mock_data": settings.options.mock_data,
        "test_tickets": settings.options.test_tickets,
        "spot_training": settings.training.spot,
        "fine_tune_limit_s": settings.training.time_limit_s,
        "event_lake": settings.objects.event_lake,
    }
