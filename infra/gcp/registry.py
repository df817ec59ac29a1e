"""One Docker repository for all containers: immutable tags, scanned on push, old images removed."""

import pulumi_gcp as gcp
from pulumi import Output

from infra.capabilities import Ground, Registry, Scope
from infra.gcp.foundation import GcpFoundation


def build(scope: Scope, ground: Ground[GcpFoundation]) -> Registry:
    if external := scope.settings.registry.external_url:
        return Registry(url=external)
    region, project = scope.settings.region, ground.foundation.project
    repository = gcp.artifactregistry.Repository(
        scope.name("images"),
        repository_id=scope.name("images"),
        location=region,
        format="DOCKER",
        kms_key_name=ground.keys.data,
        docker_config={"immutable_tags": True},
        vulnerability_scanning_config={"enablement_config": "INHERITED"},  # foundation.py turns scanning on
        cleanup_policies=[
            {
                "id": "keep-newest",
                "action": "KEEP",
                "most_recent_versions": {"keep_count": scope.settings.registry.keep_images},
            },
            {"id": "delete-old", "action": "DELETE", "condition": {"older_than": "2592000s", "tag_state": "ANY"}},
        ],
        opts=scope.own(depends_on=ground.keys.ready),
    )
    url = Output.concat(f"{region}-docker.pkg.dev/{project}/", repository.repository_id)
    return Registry(url=url, id=repository.id)
