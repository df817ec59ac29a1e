"""The platform on AWS. Each file builds the capability of its name; infra/blueprint.py gives the order."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.aws.foundation import AwsFoundation
    from infra.blueprint import Provider


def provider() -> "Provider[AwsFoundation]":
    from infra import blueprint
    from infra.aws import (
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
        account=lambda f: f.account,
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
