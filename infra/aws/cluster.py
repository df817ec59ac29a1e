"""
EKS in Auto Mode: AWS runs the node life cycle, load balancing, block storage and the pod-identity agent.

The nodes' disks lie under AWS's own key: the default NodeClass, which AWS's own pools use, takes none of ours.
Two node pools of our own are in pools.py. `small` is node.py.
"""

import pulumi_aws as aws
from pulumi import Resource

from infra.aws import access, node, pools
from infra.aws.access import Allow
from infra.aws.foundation import AwsFoundation
from infra.aws.observability import log_group
from infra.capabilities import Cluster, Ground, Reach, Scope, Stores

_CONTROL_POLICIES = (
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)
_NODE_POLICIES = ("AmazonEC2ContainerRegistryPullOnly", "AmazonEKSWorkerNodeMinimalPolicy")
_AUDITED = ["api", "audit", "authenticator", "controllerManager", "scheduler"]


def build(scope: Scope, ground: Ground[AwsFoundation], stores: Stores) -> Cluster:
    if scope.settings.is_small:
        return node.build(scope, ground, stores)
    cluster = _control_plane(scope, ground)
    return Cluster(
        name=cluster.name,
        kind="eks",
        endpoint=cluster.endpoint,
        grant_id=cluster.arn,
        issuer=cluster.identities[0].oidcs[0].issuer,
        ca=cluster.certificate_authority.data,
        arch=pools.ARCH,
        pools=pools.pools(scope.settings),
        manifests=pools.manifests(scope.settings),
        firewall=cluster.vpc_config.cluster_security_group_id,
    )


def words(reach: Reach[AwsFoundation], *_: object) -> list[Allow]:
    return [Allow(["eks:DescribeCluster"], [reach.cluster.grant_id])] if not reach.settings.is_small else []


def _control_plane(scope: Scope, ground: Ground[AwsFoundation]) -> aws.eks.Cluster:
    choices, name = scope.settings.cluster, scope.name("cluster")
    control = access.role(scope, "control-plane", access.plain_trust("eks.amazonaws.com"))
    nodes = access.role(scope, "nodes", access.plain_trust("ec2.amazonaws.com"))
    ready: list[Resource] = [*access.attach(scope, control, "control", _CONTROL_POLICIES)]
    ready += access.attach(scope, nodes, "nodes", _NODE_POLICIES)
    secrets = access.Allow(["kms:DescribeKey", "kms:Decrypt", "kms:Encrypt", "kms:ListGrants"], [ground.keys.data])
    ready.append(access.grant(scope, "control-plane", control, [secrets]))
    audit = log_group(scope, ground.keys, "cluster", name=f"/aws/eks/{name}/cluster")  # EKS writes to this very name
    allowed = [str(cidr) for cidr in scope.settings.operators.cidrs]
    return aws.eks.Cluster(
        name,
        name=name,
        role_arn=control.arn,
        version=choices.version,
        bootstrap_self_managed_addons=False,
        access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": True},
        # Auto Mode: these three are set alike, or the API refuses the cluster.
        compute_config={"enabled": True, "node_pools": ["general-purpose", "system"], "node_role_arn": nodes.arn},
        kubernetes_network_config={"elastic_load_balancing": {"enabled": True}},
        storage_config={"block_storage": {"enabled": True}},
        encryption_config={"provider": {"key_arn": ground.keys.data}, "resources": ["secrets"]},
        enabled_cluster_log_types=_AUDITED,
        vpc_config={
            "subnet_ids": ground.network.nodes,
            "endpoint_private_access": True,
            "endpoint_public_access": bool(allowed),
            **({"public_access_cidrs": allowed} if allowed else {}),
        },
        upgrade_policy={"support_type": "STANDARD"},  # extended support costs six times as much
        deletion_protection=scope.settings.is_protected,
        opts=scope.own(protect=True, depends_on=[*ready, audit, *ground.network.ready]),
    )
