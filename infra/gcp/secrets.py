"""Connector credentials: created empty, filled by a person or the help desk's rotation, never by this program."""

from typing import Any

import pulumi_gcp as gcp

from infra.capabilities import Ground, Scope, Secrets
from infra.gcp.foundation import GcpFoundation


def build(scope: Scope, ground: Ground[GcpFoundation]) -> Secrets:
    replica: Any = {
        "location": scope.settings.region,
        "customer_managed_encryption": {"kms_key_name": ground.keys.data},
    }
    secrets = {
        name: gcp.secretmanager.Secret(
            scope.name(f"connector-{name}"),
            secret_id=scope.name(f"connector-{name}"),
            replication={"user_managed": {"replicas": [replica]}},
            version_destroy_ttl="604800s",
            deletion_protection=scope.settings.is_protected,
            opts=scope.own(protect=True, depends_on=ground.keys.ready),
        )
        for name in scope.settings.connectors
    }
    store = f"projects/{ground.foundation.project}"
    return Secrets(
        kind="gcp-secret-manager",
        store=store,
        uri="https://secretmanager.googleapis.com",
        connectors={n: s.id for n, s in secrets.items()},
    )
