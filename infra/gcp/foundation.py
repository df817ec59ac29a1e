"""The project: the APIs we need, switched on, and the service agents that act for us in it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi_gcp as gcp
from pulumi import Input, InvokeOutputOptions, Output, Resource

from infra import wait
from infra.capabilities import Scope
from infra.kinds import keepers, kinds

_SPREAD_S = 60  # "wait a few minutes" says the refusal; a minute is what Google's own Terraform modules take


@dataclass(frozen=True)
class GcpFoundation:
    project: str
    number: Output[str]
    agents: Mapping[str, Input[str]]  # label -> IAM member that encrypts with our key
    pubsub_agent: Input[str]
    ready: tuple[Resource, ...]


def build(scope: Scope) -> GcpFoundation:
    project = scope.settings.account
    on = _apis(scope)
    asked = InvokeOutputOptions(depends_on=[on])
    number = gcp.organizations.get_project_output(project_id=project, opts=asked).number
    known: dict[str, Input[str]] = {  # made by their API; the others are made on demand
        "storage": gcp.storage.get_project_service_account_output(project=project, opts=asked).member,
        "compute": _agent(number, "compute-system"),
        "container": _agent(number, "container-engine-robot"),
        "logging": _logging_agent(project, asked),
    }
    made = {
        name: gcp.projects.ServiceIdentity(
            scope.name(f"agent-{name}"), service=f"{name}.googleapis.com", opts=scope.own(depends_on=[on])
        ).member
        for name in sorted({*keepers("gcp"), "pubsub"} - set(known))  # pubsub passes dead letters on as well
    }
    return GcpFoundation(project, number, {**made, **known}, made["pubsub"], (on,))


def _apis(scope: Scope) -> wait.Wait:
    """An API that was just turned on refuses calls for a while ("has not been used before or it is disabled")."""
    services = [
        gcp.projects.Service(
            scope.name(name), service=f"{name}.googleapis.com", disable_on_destroy=False, opts=scope.own()
        )
        for name in kinds("gcp").switched_on
    ]
    return wait.after(scope.name("apis"), services, _SPREAD_S, scope.own())


def _logging_agent(project: str, asked: InvokeOutputOptions) -> Output[str]:
    settings = gcp.logging.get_project_cmek_settings_output(project=project, opts=asked)
    return Output.concat("serviceAccount:", settings.service_account_id)


def _agent(number: Output[str], name: str) -> Output[str]:
    return Output.concat("serviceAccount:service-", number, f"@{name}.iam.gserviceaccount.com")


def account(foundation: GcpFoundation) -> Input[str]:
    """What the contract calls the account."""
    return foundation.project
