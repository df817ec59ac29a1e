"""Service accounts and single grants. Always one member, never a whole policy: we own our grants, not the project's."""

from collections.abc import Sequence
from typing import Any

import pulumi_gcp as gcp
from pulumi import Input, Output, Resource

from infra import wait
from infra.capabilities import Cluster, Scope

GRANT_SPREAD_S = 120  # cloud.google.com/iap/docs: IAM changes are everywhere within two minutes, seldom seven


def account(scope: Scope, label: str, purpose: str) -> gcp.serviceaccount.Account:
    name = scope.name(label)
    return gcp.serviceaccount.Account(name, account_id=name, display_name=purpose, opts=scope.own())


def of(email: Input[str]) -> Output[str]:
    return Output.concat("serviceAccount:", email)


def on_project(
    scope: Scope, label: str, role: Input[str], member: Input[str], *, only: str | Output[str] = ""
) -> gcp.projects.IAMMember:
    """
    A role that exists on the project alone.

    Args:
        only: an IAM condition expression that narrows it to one resource.
    """
    condition: Any = {"title": "one-resource", "expression": only} if only else None
    return gcp.projects.IAMMember(
        scope.name(label),
        project=scope.settings.account,
        role=role,
        member=member,
        condition=condition,
        opts=scope.own(),
    )


def only_cluster(cluster: Cluster) -> Output[str]:
    kind = 'resource.type == "container.googleapis.com/Cluster" && resource.name == "'
    return Output.concat(kind, cluster.grant_id, '"')


def let_use_key(scope: Scope, key: Input[str], members: dict[str, Input[str]]) -> Sequence[Resource]:
    """Google's own service agents encrypt for us; each must be let in before its first resource is made."""
    grants = [
        gcp.kms.CryptoKeyIAMMember(
            scope.name(f"key-{label}"),
            crypto_key_id=key,
            role="roles/cloudkms.cryptoKeyEncrypterDecrypter",
            member=member,
            opts=scope.own(),
        )
        for label, member in members.items()
    ]
    return [wait.after(scope.name("keys"), grants, GRANT_SPREAD_S, scope.own())]
