"""What the Azure subscription must have: a session, resource providers, one feature, quotas and models."""

from collections.abc import Iterator
from dataclasses import dataclass

from infra.checks import Check, NotAsExpected
from infra.kinds import kinds
from infra.preflight.quotas import Quota, quotas
from infra.rest import Rest, Token, azure_token
from infra.settings import Settings

ARM = "https://management.azure.com"
_USAGES = {
    "compute": ("Microsoft.Compute", "2024-07-01"),
    "network": ("Microsoft.Network", "2024-05-01"),
    "ai": ("Microsoft.CognitiveServices", "2024-10-01"),
}


@dataclass(frozen=True)
class Subscription:
    settings: Settings
    arm: Rest

    @property
    def path(self) -> str:
        return f"subscriptions/{self.settings.account}"


def checks(settings: Settings, *, arm: str = ARM, token: Token | None = None) -> Iterator[tuple[str, Check]]:
    """`arm` is a server that stands in for Azure; `token` is then any text."""
    subscription = Subscription(settings, Rest(arm, token or azure_token(f"{ARM}/.default")))
    yield "signed in", lambda: _signed_in(subscription)
    for name in kinds("azure").switched_on:
        yield f"provider {name}", lambda name=name: _provider(subscription, name)
    yield "encryption at host", lambda: _feature(subscription)
    for quota in quotas(settings):
        yield f"quota {quota.code}", lambda quota=quota: _quota(subscription, quota)
    for model in settings.models.names:
        yield f"model {model}", lambda model=model: _model(subscription, model)


def _signed_in(subscription: Subscription) -> str:
    if not subscription.settings.account:
        raise NotAsExpected("account is not set", fix="Set account to the subscription's id in the stack's settings")
    found = subscription.arm.get(subscription.path, **{"api-version": "2022-12-01"})
    if found["state"] != "Enabled":
        raise NotAsExpected(f"{found['displayName']} is {found['state']}", fix="Ask the billing owner")
    return found["displayName"]


def _provider(subscription: Subscription, name: str) -> str:
    found = subscription.arm.get(f"{subscription.path}/providers/{name}", **{"api-version": "2022-09-01"})
    if found["registrationState"] != "Registered":
        raise NotAsExpected(f"{name} is {found['registrationState']}", fix=f"az provider register --namespace {name}")
    return "Registered"


def _feature(subscription: Subscription) -> str:
    path = f"{subscription.path}/providers/Microsoft.Features/providers/Microsoft.Compute/features/EncryptionAtHost"
    state = subscription.arm.get(path, **{"api-version": "2021-07-01"})["properties"]["state"]
    if state != "Registered":
        fix = "az feature register --namespace Microsoft.Compute --name EncryptionAtHost"
        raise NotAsExpected(f"EncryptionAtHost is {state}", fix=fix)
    return state


def _quota(subscription: Subscription, quota: Quota) -> str:
    namespace, version = _USAGES[quota.scope]
    where = f"{subscription.path}/providers/{namespace}/locations/{subscription.settings.region}/usages"
    usages = {u["name"]["value"]: u for u in subscription.arm.get(where, **{"api-version": version})["value"]}
    found = usages.get(quota.code)
    free = found["limit"] - found["currentValue"] if found else 0
    if free < quota.needed:
        fix = f"Portal > Quotas > {quota.name}, {subscription.settings.region}: ask for {quota.needed - free:g} more"
        raise NotAsExpected(f"{quota.name}: {free:g} free, {quota.needed:g} needed", fix=fix)
    return f"{quota.name}: {free:g} free, {quota.needed:g} needed"


def _model(subscription: Subscription, model: str) -> str:
    name, _, version = model.partition("@")
    where = f"{subscription.path}/providers/Microsoft.CognitiveServices/locations/{subscription.settings.region}/models"
    offered = [m["model"] for m in subscription.arm.get(where, **{"api-version": "2024-10-01"})["value"]]
    versions = sorted({m["version"] for m in offered if m["name"] == name})
    if not versions or (version and version not in versions):
        fix = f"Choose a model of this region; {name} has {', '.join(versions) or 'no version here'}"
        raise NotAsExpected(f"{model} is not offered in {subscription.settings.region}", fix=fix)
    return f"offered: {', '.join(versions)}"
