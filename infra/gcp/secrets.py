"""Connector credentials: created empty, filled by a person or the help desk's rotation, never by this program."""

from typing import Any

import pulumi_gcp as gcp
from pulumi import Input

from infra.capabilities import Ground, Reach, Scope, Secrets
from infra.gcp.foundation import GcpFoundation
from infra.grants import Access


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


def words(scope: Scope, reach: Reach[GcpFoundation], label: str, member: Input[str], what: Access) -> None:
    """Who may write cannot read."""
    role = {
        Access.SECRETS_READ: "roles/secretmanager.secretAccessor",
        Access.SECRETS_WRITE: "roles/secretmanager.secretVersionManager",
    }[what]
    for name, secret in reach.stores.secrets.connectors.items():
        gcp.secretmanager.SecretIamMember(
            scope.name(f"{label}-{name}"), secret_id=secret, role=role, member=member, opts=scope.own()
        )
