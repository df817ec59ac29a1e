"""The platform on Google Cloud. Each file builds the capability of its name; infra/blueprint.py gives the order."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.blueprint import Provider
    from infra.gcp.foundation import GcpFoundation


def provider() -> "Provider[GcpFoundation]":
    from infra import blueprint
    from infra.gcp import (
        alerts,
        backup,
        budget,
        bus,
        ci,
        cluster,
        database,
        edge,
        foundation,
        identity,
        keys,
        models,
        network,
        objects,
        observability,
        registry,
        secrets,
    )

    return blueprint.Provider(
        account=lambda f: f.project,
        foundation=foundation.build,
        network=network.build,
        keys=keys.build,
        observability=observability.build,
        objects=objects.build,
        database=database.build,
        bus=bus.build,
        registry=registry.build,
        secrets=secrets.build,
        models=models.build,
        cluster=cluster.build,
        edge=edge.build,
        identity=identity.build,
        alerts=alerts.build,
        backup=backup.build,
        budget=budget.build,
        ci=ci.build,
    )
