"""
The platform on one page: every capability, in the one order in which it is built, on any cloud.

Read `build` first. A cloud is complete when its `Provider` can be constructed; a stack promises `infra.contract`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

import pulumi
from pulumi import Input, Output

from infra import capabilities as c
from infra.catalogue import CAPABILITIES
from infra.contract import VERSION
from infra.grants import NAMESPACE
from infra.guard import guard
from infra.node import PULL_SECRET
from infra.settings import CONTAINERS, Settings, parse
from infra.settings import Edge as EdgeSettings
from infra.tags import tag_everything

F = TypeVar("F", bound=c.Foundation)


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
    edge: Callable[[c.Scope, c.Ground[F], c.Cluster], c.Edge]
    identity: Callable[[c.Scope, c.Ground[F], c.Stores, c.Cluster, c.Edge], c.Identity]
    alerts: Callable[[c.Scope, c.Ground[F], c.Stores, c.Edge], None]
    backup: Callable[[c.Scope, c.Ground[F], c.Stores], None]
    budget: Callable[[c.Scope, c.Ground[F]], None]
    ci: Callable[[c.Scope, c.Ground[F], c.Stores, c.Cluster], c.Ci]

    @classmethod
    def of(cls, cloud: str) -> "Provider[Any]":
        """`infra.<cloud>.<capability>.build` for each capability; a file that is not there is named by the error."""
        modules = {name: import_module(f"infra.{cloud}.{name}") for name in CAPABILITIES}
        return cls(account=modules["foundation"].account, **{name: m.build for name, m in modules.items()})


def build(provider: Provider[F], settings: Settings) -> dict[str, Any]:
    """Register every resource of a stack and return its contract (values may still be outputs)."""

    def scope(kind: str) -> c.Scope:
        """A component waits for the foundation, and with it all that is built in it."""
        opts = pulumi.ResourceOptions(depends_on=list(ready))  # the list as it is now
        component = pulumi.ComponentResource(f"pointsman:index:{kind.capitalize()}", kind, opts=opts)
        parts.append(component)
        return c.Scope(settings, component)

    parts: list[pulumi.Resource] = []
    ready: list[pulumi.Resource] = []
    ground_floor = scope("foundation")
    foundation = provider.foundation(ground_floor)
    ready += foundation.ready
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
    edge = provider.edge(scope("edge"), ground, cluster)
    _tell_name_servers(settings, edge)
    identity = provider.identity(scope("identity"), ground, stores, cluster, edge)
    provider.alerts(scope("alerts"), ground, stores, edge)
    provider.backup(scope("backup"), ground, stores)
    provider.budget(scope("budget"), ground)
    ci = provider.ci(scope("ci"), ground, stores, cluster)
    if settings.protect:
        guard(ground_floor, before=parts[1:])
    return {
        **_who(settings, provider.account(foundation)),
        **_ground(ground),
        **_data(stores, identity),
        **_supplies(settings, stores, cluster),
        "cluster": _cluster(cluster),
        "identity": {
            "kind": identity.kind,
            "principals": dict(identity.principals),
            "platform": dict(identity.platform),
            "operators": identity.operators,
        },
        "edge": _edge(settings.edge, edge),
        "ci": {"principal": ci.principal},
        "options": _options(settings),
    }


def main() -> None:
    """The whole program of a stack: settings in, resources registered, contract out."""
    cloud = pulumi.get_project().removeprefix("pointsman-")
    settings = parse(cloud, pulumi.get_stack(), pulumi.Config().require_object("settings"))
    tag_everything(settings.required_tags)
    pulumi.export("contract", build(Provider.of(settings.cloud), settings))


def _tell_name_servers(settings: Settings, edge: c.Edge) -> None:
    """As soon as the zone stands: outputs come when all is made, and AWS's certificate waits for the delegation."""

    def tell(names: Sequence[str]) -> None:
        if names:
            pulumi.log.info(f"Delegate {settings.edge.domain} at its parent domain now, to {', '.join(names)}")

    if edge.zone:
        Output.from_input(edge.zone.name_servers).apply(tell)


def _who(settings: Settings, account: Input[str]) -> dict[str, Any]:
    return {
        "version": VERSION,
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
        "observability": {
            "logs": watch.logs,
            "metrics": watch.metrics,
            "traces": watch.traces,
            "alerts": watch.alerts,
        },
    }


def _data(stores: c.Stores, identity: c.Identity) -> dict[str, Any]:
    database, bus, urls = stores.database, stores.bus, stores.objects.urls
    return {
        "database": {
            "host": database.host,
            "port": 5432,
            "name": database.name,
            "auth": database.auth,
            "ca": database.ca,
            "users": dict(identity.users),
            "admin": identity.admin,
            "admin_secret": database.admin_secret,
        },
        "objects": {"documents": urls["documents"], "models": urls["models"], "lake": urls.get("lake", "")},
        "bus": {"kind": bus.kind, "topic": bus.topic, "queue": bus.queue, "dead_letters": bus.dead_letters},
    }


def _supplies(settings: Settings, stores: c.Stores, cluster: c.Cluster) -> dict[str, Any]:
    """What workloads are made of: images, credentials, models."""
    url, secrets, models = stores.registry.url, stores.secrets, stores.models
    return {
        "registry": {
            "url": url,
            "images": _images(settings, url),
            "digests": settings.options.digests,
            "pull_secret": PULL_SECRET if settings.is_small and not settings.registry.external_url else "",
        },
        "secrets": {
            "kind": secrets.kind,
            "store": secrets.store,
            "uri": secrets.uri,
            "connectors": dict(secrets.connectors),
        },
        "models": {
            "kind": models.kind,
            "endpoint": models.endpoint,
            "deployments": [{"model": model, "name": name} for model, name in models.deployments],
        },
    }


def _cluster(cluster: c.Cluster) -> dict[str, Any]:
    return {
        "name": cluster.name,
        "kind": cluster.kind,
        "endpoint": cluster.endpoint,
        "ca": cluster.ca,
        "arch": cluster.arch,
        "pools": {
            name: {"selector": dict(pool.selector), "taints": [{"key": k, "value": v} for k, v in pool.taints]}
            for name, pool in cluster.pools.items()
        },
        "manifests": list(cluster.manifests),
        "namespace": NAMESPACE,
        "deploy": cluster.deploy,
    }


def _edge(settings: EdgeSettings, edge: c.Edge) -> dict[str, Any]:
    return {
        "hostname": edge.hostname,
        "address": edge.address,
        "address_name": edge.address_name,
        "origin_host": edge.origin_host,
        "tls_policy": edge.tls_policy,
        "zone": edge.zone.id if edge.zone else "",
        "name_servers": edge.zone.name_servers if edge.zone else [],
        "entry": edge.entry,
        "waf": edge.waf,
        "front_door_id": edge.front_door_id,
        "chat": settings.chat,
        "chat_hostname": settings.chat_domain,
        "chat_entry": edge.chat_entry,
        "chat_origins": list(settings.chat_origins),
    }


def _images(settings: Settings, url: Input[str]) -> dict[str, Input[str]]:
    choices = settings.options
    pinned = {name: f"{name}@{choices.digests[name]}" if name in choices.digests else name for name in CONTAINERS}
    return {name: choices.images.get(name) or Output.concat(url, "/", pinned[name]) for name in CONTAINERS}


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "mock_data": settings.options.mock_data,
        "test_tickets": settings.options.test_tickets,
        "spot_training": settings.training.spot,
        "fine_tune_limit_s": settings.training.time_limit_s,
        "event_lake": settings.objects.event_lake,
        "publish_events": settings.bus.publish,
    }
