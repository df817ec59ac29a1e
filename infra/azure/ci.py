"""The identity of GitHub Actions: pushes images, deploys to one namespace (in `small`: one container), no more."""

from pulumi import Output
from pulumi_azure_native import managedidentity

from infra.azure import access
from infra.azure.access import Role
from infra.azure.foundation import AzureFoundation
from infra.capabilities import Ci, Cluster, Ground, Scope, Stores
from infra.grants import NAMESPACE


def build(scope: Scope, ground: Ground[AzureFoundation], stores: Stores, cluster: Cluster) -> Ci:
    repository = scope.settings.ci.repository
    if not repository:
        return Ci()
    foundation = ground.foundation
    identity = access.identity(scope, foundation, "ci")
    managedidentity.FederatedIdentityCredential(
        scope.name("github"),
        resource_group_name=foundation.group,
        resource_name_=identity.name,
        federated_identity_credential_resource_name="github",
        issuer="https://token.actions.githubusercontent.com",
        subject=f"repo:{repository}:environment:{scope.settings.environment}",
        audiences=["api://AzureADTokenExchange"],
        opts=scope.own(),
    )
    to = identity.principal_id
    if stores.registry.id:
        access.assign(scope, foundation, "ci-push", Role.ACR_PUSH, to=to, at=stores.registry.id)
    if scope.settings.is_small:
        deploy = stores.objects.names["deploy"]
        access.assign(scope, foundation, "ci-deploy", Role.BLOB_CONTRIBUTOR, to=to, at=deploy)
    else:
        namespace = Output.concat(cluster.grant_id, f"/namespaces/{NAMESPACE}")
        access.assign(scope, foundation, "ci-deploy", Role.AKS_WRITER, to=to, at=namespace)
        access.assign(scope, foundation, "ci-login", Role.AKS_CLUSTER_USER, to=to, at=cluster.grant_id)
    return Ci(principal=identity.client_id)
