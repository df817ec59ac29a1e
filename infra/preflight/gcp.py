"""What the Google Cloud project must have: a session, billing, quotas and models."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.checks import Check, NotAsExpected
from infra.preflight.quotas import Quota, quotas
from infra.rest import Rest, Token, google_token
from infra.settings import Settings


@dataclass(frozen=True)
class Project:
    settings: Settings
    base: str
    token: Token

    def api(self, name: str) -> Rest:
        return Rest(self.base.format(api=name), self.token)

    @property
    def path(self) -> str:
        return f"projects/{self.settings.account}"


def checks(
    settings: Settings, *, base: str = "https://{api}.googleapis.com", token: Token | None = None
) -> Iterator[tuple[str, Check]]:
    """`base` is a server that stands in for Google, with `{api}` where a service's name goes."""
    project = Project(settings, base, token or google_token())
    yield "signed in", lambda: _signed_in(project)
    yield "billing is on", lambda: _billing(project)
    for quota in quotas(settings):
        yield f"quota {quota.code}", lambda quota=quota: _quota(project, quota)
    for model in settings.models.names:
        yield f"model {model}", lambda model=model: _model(project, model)


def _signed_in(project: Project) -> str:
    found = project.api("cloudresourcemanager").get(f"v3/{project.path}")
    if found["state"] != "ACTIVE":
        raise NotAsExpected(f"{project.path} is {found['state']}", fix="Choose another project")
    return found["displayName"]


def _billing(project: Project) -> str:
    found = project.api("cloudbilling").get(f"v1/{project.path}/billingInfo")
    wanted = f"billingAccounts/{project.settings.budget.billing_account}"
    if not found.get("billingEnabled"):
        account = project.settings.budget.billing_account
        fix = f"gcloud billing projects link {project.settings.account} --billing-account={account}"
        raise NotAsExpected("The project has no billing account", fix=fix)
    if found["billingAccountName"] != wanted:
        fix = f"Set budget.billing_account to {found['billingAccountName'].split('/')[-1]}"
        raise NotAsExpected(f"The project is billed to {found['billingAccountName']}, not {wanted}", fix=fix)
    return found["billingAccountName"]


def _quota(project: Project, quota: Quota) -> str:
    where = f"compute/v1/{project.path}"
    where += f"/regions/{project.settings.region}" if quota.scope == "region" else ""
    found: dict[str, Any] = {q["metric"]: q for q in project.api("compute").get(where).get("quotas", [])}
    row = found.get(quota.code, {"limit": 0, "usage": 0})
    free = row["limit"] - row["usage"]
    if free < quota.needed:
        fix = f"Console > IAM & Admin > Quotas > {quota.name}: ask for {quota.needed - free:g} more"
        raise NotAsExpected(f"{quota.name}: {free:g} free, {quota.needed:g} needed", fix=fix)
    return f"{quota.name}: {free:g} free, {quota.needed:g} needed"


def _model(project: Project, model: str) -> str:
    found = project.api("aiplatform").get(f"v1/publishers/google/models/{model}")
    return f"{model} is {found.get('launchStage', 'offered')}"
