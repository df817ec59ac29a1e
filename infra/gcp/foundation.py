"""The project: the APIs we need, switched on, and the service agents that act for us in it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi_gcp as gcp
from pulumi import Input, Output, Resource

from infra.capabilities import Scope

APIS = (
    "aiplatform",
    "artifactregistry",
    "backupdr",
    "billingbudgets",
    "certificatemanager",
    "cloudkms",
    "compute",
    "container",
    "containerscanning",
    "dns",
    "iam",
    "iamcredentials",
    "logging",
    "monitoring",
    "orgpolicy",
    "pubsub",
    "secretmanager",
    "servicenetworking",
    "sqladmin",
    "storage",
    "sts",
)
_AGENTS = (
    "artifactregistry",
    "backupdr",
    "pubsub",
    "secretmanager",
    "sqladmin",
)  # made on demand, the others by their API


@dataclass(frozen=True)
class GcpFoundation:
    project: str
    number: Output[str]
    agents: Mapping[str, Input[str]]  # label -> IAM member that encrypts with our key
    pubsub_agent: Input[str]
    ready: tuple[Resource, ...]


def build(scope: Scope) -> GcpFoundation:
    project = scope.settings.account
    number = gcp.organizations.get_project_output(project_id=project).number
    services = [
        gcp.projects.Service(
            scope.name(name), service=f"{name}.googleapis.com", disable_on_destroy=False, opts=scope.own()
        )
        for name in APIS
    ]
    made = {
        name: gcp.projects.ServiceIdentity(
            scope.name(f"agent-{name}"), service=f"{name}.googleapis.com", opts=scope.own(depends_on=services)
        ).member
        for name in _AGENTS
    }
    agents: dict[str, Input[str]] = {
        **made,
        "storage": gcp.storage.get_project_service_account_output(project=project).member,
        "compute": _agent(number, "compute-system"),
        "container": _agent(number, "container-engine-robot"),
        "logging": _logging_agent(project),
    }
    return GcpFoundation(project, number, agents, made["pubsub"], tuple(services))


def _logging_agent(project: str) -> Output[str]:
    settings = gcp.logging.get_project_cmek_settings_output(project=project)
    return Output.concat("serviceAccount:", settings.service_account_id)


def _agent(number: Output[str], name: str) -> Output[str]:
    return Output.concat("serviceAccount:service-", number, f"@{name}.iam.gserviceaccount.com")
