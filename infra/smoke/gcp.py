"""The checks of a stack on Google Cloud: REST throughout, objects by obstore."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from infra.checks import Check, NotAsExpected, NotThere, Verdict
from infra.contract import Contract
from infra.rest import Rest, Token, google_token
from infra.smoke.edge import resolves
from infra.smoke.message import ATTEMPTS, is_ours, new_message
from infra.smoke.objects import round_trip
from infra.smoke.use import ANSWER_TOKENS, QUESTION, Caller


@dataclass(frozen=True)
class Stack:
    contract: Contract
    base: str
    token: Token
    objects: dict[str, Any] = field(default_factory=dict)

    def api(self, name: str) -> Rest:
        return Rest(self.base.format(api=name), self.token)

    @property
    def project(self) -> str:
        return f"projects/{self.contract.account}"


def checks(
    contract: Contract,
    *,
    base: str = "https://{api}.googleapis.com",
    objects: dict[str, Any] | None = None,
    token: Token | None = None,
) -> Iterator[tuple[str, Check]]:
    """`base` is a server that stands in for Google, with `{api}` where a service's name goes."""
    stack = Stack(contract, base, token or google_token(), objects or {})
    for name, check in _CHECKS.items():
        yield name, lambda check=check: check(stack)


def caller(contract: Contract) -> Caller:
    """One token opens all three: Cloud SQL takes it as the password."""
    token = google_token()
    vertex = Rest(contract.models.endpoint, token)
    return Caller(database=lambda _: token(), cluster=token, ask=lambda name: ask(vertex, contract.account, name))


def ask(vertex: Rest, project: str, model: str) -> str:
    path = f"v1/projects/{project}/locations/global/publishers/google/models/{model}:generateContent"
    body = {
        "contents": [{"role": "user", "parts": [{"text": QUESTION}]}],
        "generationConfig": {"maxOutputTokens": ANSWER_TOKENS},
    }
    answer = vertex.call("POST", path, json=body).json()
    return str(answer["candidates"][0]["content"]["parts"][0]["text"])


def _network(stack: Stack) -> str:
    found = stack.api("compute").get(f"compute/v1/{stack.contract.network.id}")
    return f"{found['name']} has {len(found.get('subnetworks', []))} subnet(s)"


def _keys(stack: Stack) -> str:
    key = stack.api("cloudkms").get(f"v1/{stack.contract.keys.data}")
    if "rotationPeriod" not in key:
        raise NotAsExpected(f"{key['name']} does not rotate", fix="pulumi up puts it right")
    return f"rotates every {int(key['rotationPeriod'].rstrip('s')) // 86400} days"


def _cluster(stack: Stack) -> str:
    cluster = stack.contract.cluster
    if stack.contract.is_small:
        groups = stack.api("compute").get(f"compute/v1/{stack.project}/aggregated/instanceGroupManagers")
        stable = [g for g in _flattened(groups, "instanceGroupManagers") if g["baseInstanceName"] == cluster.name]
        if not stable or not stable[0]["status"]["isStable"]:
            raise NotAsExpected(f"{cluster.name} is not running", fix="Spot may be scarce: see the group's errors")
        return f"{cluster.name} is stable"
    found = stack.api("container").get(f"v1/{stack.project}/locations/-/clusters").get("clusters", [])
    ours = [c for c in found if c["name"] == cluster.name]
    return _expect(ours[0]["status"] if ours else "missing", "RUNNING", cluster.name)


def _flattened(answer: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item for place in answer.get("items", {}).values() for item in place.get(kind, [])]


def _database(stack: Stack) -> str:
    host = stack.contract.database.host
    found = stack.api("sqladmin").get(f"v1/{stack.project}/instances").get("items", [])
    ours = [i for i in found if any(a["ipAddress"] == host for a in i.get("ipAddresses", []))]
    return _expect(ours[0]["state"] if ours else "missing", "RUNNABLE", host)


def _objects(stack: Stack) -> str:
    reach = stack.objects
    if not reach:
        from obstore.auth.google import GoogleCredentialProvider

        reach = {"credential_provider": GoogleCredentialProvider()}
    return round_trip(stack.contract.objects.documents, **reach)


def _bus(stack: Stack) -> str:
    """Publish, pull, acknowledge our own; whatever else comes is given back at once."""
    id_, body = new_message()
    api, queue = stack.api("pubsub"), stack.contract.bus.queue
    message = {"messages": [{"data": base64.b64encode(body.encode()).decode()}]}
    api.call("POST", f"v1/{stack.contract.bus.topic}:publish", json=message)
    for _ in range(ATTEMPTS):
        got = api.call("POST", f"v1/{queue}:pull", json={"maxMessages": 10}).json().get("receivedMessages", [])
        ours = [m for m in got if is_ours(base64.b64decode(m["message"].get("data", "")).decode(), id_)]
        others = [m["ackId"] for m in got if m not in ours]
        if others:
            api.call("POST", f"v1/{queue}:modifyAckDeadline", json={"ackIds": others, "ackDeadlineSeconds": 0})
        if ours:
            api.call("POST", f"v1/{queue}:acknowledge", json={"ackIds": [m["ackId"] for m in ours]})
            return "a message went from topic to subscription and was taken out again"
    raise NotAsExpected(f"No message came out of {queue}", fix="Look at the subscription, and who else reads it")


def _registry(stack: Stack) -> str:
    host, project, name = [*stack.contract.registry.url.split("/"), "", ""][:3]
    if not host.endswith("-docker.pkg.dev"):
        return f"{host} is the company's own"
    region = host.removesuffix("-docker.pkg.dev")
    path = f"v1/projects/{project}/locations/{region}/repositories/{name}"
    found = stack.api("artifactregistry").get(path)
    if not found.get("dockerConfig", {}).get("immutableTags"):
        raise NotAsExpected(f"Tags in {name} can be overwritten", fix="pulumi up puts it right")
    return f"{name} keeps its tags"


def _secrets(stack: Stack) -> str:
    api, empty = stack.api("secretmanager"), []
    for name, id_ in stack.contract.secrets.connectors.items():
        if not api.get(f"v1/{id_}/versions").get("versions"):
            empty.append(name)
    if empty:
        fix = "gcloud secrets versions add <secret> --data-file=credentials.json"
        raise NotAsExpected(f"No value yet for {', '.join(empty)}", fix=fix, verdict=Verdict.WARNING)
    return f"{len(stack.contract.secrets.connectors)} connectors have their credentials"


def _models(stack: Stack) -> str:
    if stack.contract.models.kind == "embedded":
        return "the embedded model needs nothing"
    try:
        policy = stack.api("orgpolicy").get(f"v2/{stack.project}/policies/vertexai.allowedModels")
    except NotThere:
        return f"{len(stack.contract.models.deployments)} models, and any other: models.organisation_policy is off"
    allowed = [v for rule in policy["spec"]["rules"] for v in rule.get("values", {}).get("allowedValues", [])]
    missing = [d.name for d in stack.contract.models.deployments if not any(f"/{d.name}:" in v for v in allowed)]
    if missing:
        raise NotAsExpected(f"Not allowed: {', '.join(missing)}", fix="pulumi up puts it right")
    return f"{len(allowed)} models allowed"


def _identity(stack: Stack) -> str:
    accounts = set(stack.contract.identity.principals.values())
    for email in accounts:
        stack.api("iam").get(f"v1/{stack.project}/serviceAccounts/{email}")
    return f"{len(accounts)} service accounts"


def _edge(stack: Stack) -> str:
    return resolves(stack.contract.edge.hostname)


def _observability(stack: Stack) -> str:
    bucket = stack.api("logging").get(f"v2/{stack.contract.observability.logs}")
    return f"{bucket['name'].rsplit('/', 1)[-1]} keeps {bucket['retentionDays']} days"


def _alerts(stack: Stack) -> str:
    channel = stack.contract.observability.alerts
    if channel == "none":
        fix = "Set observability.alert_email"
        raise NotAsExpected("Alerts reach nobody", fix=fix, verdict=Verdict.WARNING)
    found = stack.api("monitoring").get(f"v3/{channel}")
    return f"alerts go to {found['labels']['email_address']}"


def _expect(found: str, wanted: str, what: str) -> str:
    if found != wanted:
        raise NotAsExpected(f"{what} is {found}, not {wanted}", fix="Wait, or read its events in the console")
    return f"{what} is {found}"


_CHECKS = {
    "network": _network,
    "keys": _keys,
    "cluster": _cluster,
    "database": _database,
    "objects": _objects,
    "bus": _bus,
    "registry": _registry,
    "secrets": _secrets,
    "models": _models,
    "identity": _identity,
    "edge": _edge,
    "observability": _observability,
    "alerts": _alerts,
}
