"""The identity of GitHub Actions: pushes images, deploys to one cluster (or one bucket in `small`), nothing else."""

import pulumi_gcp as gcp
from pulumi import Output

from infra.capabilities import Ci, Cluster, Ground, Scope, Stores
from infra.gcp import access
from infra.gcp.foundation import GcpFoundation


def build(scope: Scope, ground: Ground[GcpFoundation], stores: Stores, cluster: Cluster) -> Ci:
    repository = scope.settings.ci.repository
    if not repository:
        return Ci()
    account = access.account(scope, "ci", "GitHub Actions")
    _federate(scope, ground, account, repository)
    member = access.of(account.email)
    if stores.registry.id:
        gcp.artifactregistry.RepositoryIamMember(
            scope.name("ci-push"),
            repository=stores.registry.id,
            location=scope.settings.region,
            role="roles/artifactregistry.writer",
            member=member,
            opts=scope.own(),
        )
    if scope.settings.is_small:
        gcp.storage.BucketIAMMember(
            scope.name("ci-deploy"),
            bucket=stores.objects.names["deploy"],
            role="roles/storage.objectUser",
            member=member,
            opts=scope.own(),
        )
    else:
        access.on_project(scope, "ci-deploy", "roles/container.developer", member, only=access.only_cluster(cluster))
    return Ci(principal=account.email)


def _federate(
    scope: Scope, ground: Ground[GcpFoundation], account: gcp.serviceaccount.Account, repository: str
) -> None:
    """Only this repository, and only jobs of the GitHub environment that has this stack's name."""
    subject = f"repo:{repository}:environment:{scope.settings.environment}"
    pool = gcp.iam.WorkloadIdentityPool(
        scope.name("github"),
        workload_identity_pool_id=scope.name("github"),
        opts=scope.own(),
    )
    gcp.iam.WorkloadIdentityPoolProvider(
        scope.name("github"),
        workload_identity_pool_id=pool.workload_identity_pool_id,
        workload_identity_pool_provider_id="github",
        attribute_mapping={"google.subject": "assertion.sub", "attribute.repository": "assertion.repository"},
        attribute_condition=f'assertion.sub == "{subject}"',
        oidc={"issuer_uri": "https://token.actions.githubusercontent.com"},
        opts=scope.own(),
    )
    gcp.serviceaccount.IAMMember(
        scope.name("ci"),
        service_account_id=account.name,
        role="roles/iam.workloadIdentityUser",
        member=Output.concat("principal://iam.googleapis.com/", pool.name, "/subject/", subject),
        opts=scope.own(),
    )
