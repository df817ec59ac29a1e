"""
EKS in Auto Mode: AWS runs the node life cycle, load balancing, block storage and the pod-identity agent.

The nodes' disks lie under AWS's own key: the default NodeClass, which AWS's own pools use, takes none of ours.
Two node pools of our own: spot for the workers, GPU for the trainer; both start from nothing. `small` is node.py.
"""

import pulumi_aws as aws
import pulumi_kubernetes as k8s
from pulumi import Output, Resource

from infra.aws import access, node
from infra.aws.foundation import AwsFoundation
from infra.aws.observability import log_group
from infra.capabilities import Cluster, Ground, Pool, Scope, Stores

_CONTROL_POLICIES = (
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)
_NODE_POLICIES = ("AmazonEC2ContainerRegistryPullOnly", "AmazonEKSWorkerNodeMinimalPolicy")
_ARCH = "amd64"
_SPOT_TAINT, _GPU_TAINT = ("pointsman/spot", "true"), ("nvidia.com/gpu", "true")
_AUDITED = ["api", "audit", "authenticator", "controllerManager", "scheduler"]


def build(scope: Scope, ground: Ground[AwsFoundation], stores: Stores) -> Cluster:
    if scope.settings.is_small:
        return node.build(scope, ground, stores)
    cluster = _control_plane(scope, ground)
    provider = k8s.Provider(scope.name("cluster"), kubeconfig=_kubeconfig(scope, cluster), opts=scope.own())
    _pool(scope, provider, "workers", _workers(scope))
    if scope.settings.cluster.gpu:
        _pool(scope, provider, "gpu", _gpu(scope))
    return Cluster(
        name=cluster.name,
        kind="eks",
        endpoint=cluster.endpoint,
        id=cluster.arn,
        issuer=cluster.identities[0].oidcs[0].issuer,
        ca=cluster.certificate_authority.data,
        arch=_ARCH,
        pools=_pools(scope),
    )


def _pools(scope: Scope) -> dict[str, Pool]:
    pools = {"workers": Pool({"karpenter.sh/nodepool": "workers"}, [_SPOT_TAINT])}
    if scope.settings.cluster.gpu:
        pools["gpu"] = Pool({"karpenter.sh/nodepool": "gpu"}, [_GPU_TAINT])
    return pools


def _control_plane(scope: Scope, ground: Ground[AwsFoundation]) -> aws.eks.Cluster:
    choices, name = scope.settings.cluster, scope.name("cluster")
    control = access.role(scope, "control-plane", access.plain_trust("eks.amazonaws.com"))
    nodes = access.role(scope, "nodes", access.plain_trust("ec2.amazonaws.com"))
    ready: list[Resource] = [*access.attach(scope, control, "control", _CONTROL_POLICIES)]
    ready += access.attach(scope, nodes, "nodes", _NODE_POLICIES)
    secrets = access.Allow(["kms:DescribeKey", "kms:Decrypt", "kms:Encrypt", "kms:ListGrants"], [ground.keys.data])
    ready.append(access.grant(scope, "control-plane", control, [secrets]))
    audit = log_group(scope, ground.keys, "cluster", name=f"/aws/eks/{name}/cluster")  # EKS writes to this very name
    allowed = [str(cidr) for cidr in choices.api_allowed_cidrs]
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
        deletion_protection=scope.settings.protect,
        opts=scope.own(protect=True, depends_on=[*ready, audit, *ground.network.ready]),
    )


def _kubeconfig(scope: Scope, cluster: aws.eks.Cluster) -> Output[str]:
    """Holds no credential: kubectl asks the AWS CLI for a token of whoever runs it."""
    region = scope.settings.region
    token = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["eks", "get-token", "--region", region, "--cluster-name", cluster.name],
    }
    server = {"server": cluster.endpoint, "certificate-authority-data": cluster.certificate_authority.data}
    return Output.json_dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": server}],
            "users": [{"name": "u", "user": {"exec": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


def _pool(scope: Scope, provider: k8s.Provider, label: str, spec: dict) -> None:
    k8s.apiextensions.CustomResource(
        scope.name(f"pool-{label}"),
        api_version="karpenter.sh/v1",
        kind="NodePool",
        metadata={"name": label},
        spec=spec,
        opts=scope.own(provider=provider),
    )


def _workers(scope: Scope) -> dict:
    capacity = ["spot", "on-demand"] if scope.settings.cluster.spot else ["on-demand"]
    return _spec(
        {"karpenter.sh/capacity-type": capacity, "eks.amazonaws.com/instance-category": ["c", "m", "r"]},
        taint=_SPOT_TAINT,
        cpus_max=scope.settings.cluster.nodes_max * 4,
    )


def _gpu(scope: Scope) -> dict:
    capacity = ["spot", "on-demand"] if scope.settings.training.spot else ["on-demand"]
    return _spec(
        {"karpenter.sh/capacity-type": capacity, "eks.amazonaws.com/instance-family": ["g6", "g5"]},
        taint=_GPU_TAINT,
        cpus_max=8,
    )


def _spec(requirements: dict[str, list[str]], *, taint: tuple[str, str], cpus_max: int) -> dict:
    built_for = {"kubernetes.io/arch": [_ARCH]}
    needs = [{"key": key, "operator": "In", "values": values} for key, values in {**requirements, **built_for}.items()]
    key, value = taint
    return {
        "template": {
            "spec": {
                "nodeClassRef": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "default"},
                "requirements": needs,
                "taints": [{"key": key, "value": value, "effect": "NoSchedule"}],
                "expireAfter": "336h",
            }
        },
        "limits": {"cpu": str(cpus_max)},
        "disruption": {"consolidationPolicy": "WhenEmptyOrUnderutilized", "consolidateAfter": "60s"},
    }
