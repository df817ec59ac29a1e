"""
Vertex AI: a role of our own holds the right to ask and nothing more. Calls are in the data-access log, without text.

IAM cannot name a publisher's model. An organisation policy can, but whoever sets it needs a role that exists on the
organisation only, so it is a switch, and off: then any model of Google's may be asked, and the posture says so.
"""

import pulumi_gcp as gcp
from pulumi import Input

from infra.capabilities import Ground, Models, Reach, Scope
from infra.gcp import access
from infra.gcp.foundation import GcpFoundation
from infra.gcp.observability import audit
from infra.grants import Access


def build(scope: Scope, ground: Ground[GcpFoundation]) -> Models:
    names, project = scope.settings.models.names, ground.foundation.project
    if not names:
        return Models(kind="embedded", endpoint="embedded")
    if scope.settings.models.organisation_policy:
        _allow_only(scope, project)
    role = gcp.projects.IAMCustomRole(
        scope.name("models"),
        role_id=f"{scope.settings.application}_{scope.settings.environment}_ask",
        title="Ask the allowed models",
        permissions=["aiplatform.endpoints.predict"],
        opts=scope.own(),
    )
    audit(scope, "aiplatform")
    return Models(
        kind="vertex",
        endpoint="https://aiplatform.googleapis.com",
        deployments=[(name, name) for name in names],
        grants=[role.name],
    )


def words(scope: Scope, reach: Reach[GcpFoundation], label: str, member: Input[str], _: Access) -> None:
    for role in reach.stores.models.grants:
        access.on_project(scope, label, role, member)


def _allow_only(scope: Scope, project: str) -> None:
    allowed = [f"publishers/google/models/{name}:predict" for name in scope.settings.models.names]
    gcp.orgpolicy.Policy(
        scope.name("models"),
        name=f"projects/{project}/policies/vertexai.allowedModels",
        parent=f"projects/{project}",
        spec={"rules": [{"values": {"allowed_values": allowed}}]},
        opts=scope.own(),
    )
