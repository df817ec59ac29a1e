"""IAM documents and roles. A role is assumed by one service or one pod; there is no user and no access key anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws
from pulumi import Input, Output

from infra.capabilities import Cluster, Scope
from infra.grants import NAMESPACE


@dataclass(frozen=True)
class Allow:
    """One statement; `when` is an IAM condition block, `id` what it is about."""

    actions: Sequence[str]
    resources: Sequence[Input[str]]
    when: dict[str, Any] | None = None
    id: str = ""


def document(statements: Sequence[Allow]) -> Output[str]:
    return Output.json_dumps({"Version": "2012-10-17", "Statement": [_statement(s) for s in statements]})


def trust(service: str, account: Input[str]) -> Output[str]:
    """A service may assume the role, for resources of our own account only (no confused deputy)."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": ["sts:AssumeRole"],
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }
    return Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]})


def plain_trust(service: str) -> Output[str]:
    """For the services that send no source account: EC2, EKS and its pods."""
    actions = ["sts:AssumeRole"] if service == "ec2.amazonaws.com" else ["sts:AssumeRole", "sts:TagSession"]
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": actions}
    return Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]})


def people_trust(principals: Sequence[str], networks: Sequence[str]) -> Output[str]:
    """Named people and roles, and only from the named networks where there are any."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": list(principals)},
        "Action": ["sts:AssumeRole"],
    }
    if networks:
        statement["Condition"] = {"IpAddress": {"aws:SourceIp": list(networks)}}
    return Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]})


def role(scope: Scope, label: str, assume: Input[str]) -> aws.iam.Role:
    identity = scope.settings.identity
    return aws.iam.Role(
        scope.name(label),
        assume_role_policy=assume,
        path=identity.role_path,
        permissions_boundary=identity.permissions_boundary_arn,
        max_session_duration=3600,
        opts=scope.own(),
    )


def grant(scope: Scope, label: str, to: aws.iam.Role, statements: Sequence[Allow]) -> aws.iam.RolePolicy:
    return aws.iam.RolePolicy(scope.name(label), role=to.id, policy=document(statements), opts=scope.own())


def attach(
    scope: Scope, to: aws.iam.Role, label: str, managed_policies: Sequence[str]
) -> list[aws.iam.RolePolicyAttachment]:
    """AWS-managed policies, for roles that only AWS services assume."""
    return [
        aws.iam.RolePolicyAttachment(
            scope.name(f"{label}-{name}"), role=to.name, policy_arn=f"arn:aws:iam::aws:policy/{name}", opts=scope.own()
        )
        for name in managed_policies
    ]


def enter_cluster(scope: Scope, label: str, cluster: Cluster, who: aws.iam.Role, policy: str) -> None:
    """One of EKS's own policies, in our namespace alone."""
    entry = aws.eks.AccessEntry(
        scope.name(label), cluster_name=cluster.name, principal_arn=who.arn, type="STANDARD", opts=scope.own()
    )
    aws.eks.AccessPolicyAssociation(
        scope.name(label),
        cluster_name=cluster.name,
        principal_arn=entry.principal_arn,
        policy_arn=f"arn:aws:eks::aws:cluster-access-policy/{policy}",
        access_scope={"type": "namespace", "namespaces": [NAMESPACE]},
        opts=scope.own(),
    )


def _statement(allow: Allow) -> dict[str, Any]:
    more = {key: value for key, value in (("Sid", allow.id), ("Condition", allow.when)) if value}
    return {"Effect": "Allow", "Action": list(allow.actions), "Resource": list(allow.resources), **more}
