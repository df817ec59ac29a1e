"""The checks of a stack on Azure: the resource manager and Service Bus by REST, blobs by obstore."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from infra.checks import Check, NotAsExpected, Verdict
from infra.contract import Contract
from infra.rest import Rest, Token, azure_token
from infra.smoke.edge import resolves
from infra.smoke.message import ATTEMPTS, is_ours, new_message
from infra.smoke.objects import round_trip
from infra.smoke.use import ANSWER_TOKENS, QUESTION, Caller

ARM = "https://management.azure.com"
_SERVICE_BUS_SCOPE = "https://servicebus.azure.net/.default"


@dataclass(frozen=True)
class Stack:
    contract: Contract
    arm: Rest
    bus: Rest
    blobs: dict[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The resource group's id, which every id in it starts with."""
        start, _, rest = self.contract.observability.logs.partition("/providers/")
        return start if rest else f"{self.contract.account}"

    def listed(self, kind: str, version: str) -> list[dict[str, Any]]:
        path = f"{self.group}/providers/{kind}"
        return list(self.arm.get(path, **{"api-version": version}).get("value", []))


def checks(
    contract: Contract,
    *,
    arm: str = ARM,
    bus: str | None = None,
    blobs: dict[str, Any] | None = None,
    token: Token | None = None,
) -> Iterator[tuple[str, Check]]:
    """`arm`, `bus` and `blobs` are servers that stand in for Azure; `token` is then any text."""
    namespace = contract.bus.topic.removeprefix("sb://").split("/")[0]
    stack = Stack(
        contract,
        Rest(arm, token or azure_token(f"{ARM}/.default")),
        Rest(bus or f"https://{namespace}", token or azure_token(_SERVICE_BUS_SCOPE)),
        blobs if blobs is not None else _signed_in(),
    )
    for name, check in _CHECKS.items():
        yield name, lambda check=check: check(stack)


def caller(contract: Contract) -> Caller:
    """Entra's tokens: for PostgreSQL, for AKS (a fixed application id on every tenant) and for Azure OpenAI."""
    openai = Rest(contract.models.endpoint, azure_token("https://cognitiveservices.azure.com/.default"))
    database = azure_token("https://ossrdbms-aad.database.windows.net/.default")
    return Caller(
        database=lambda _: database(),
        cluster=azure_token("6dae42f8-4368-4678-94ff-3960e28e3630/.default"),
        ask=lambda deployment: ask(openai, deployment),
    )


def ask(openai: Rest, deployment: str) -> str:
    path = f"openai/deployments/{deployment}/chat/completions"
    body = {"messages": [{"role": "user", "content": QUESTION}], "max_completion_tokens": ANSWER_TOKENS}
    answer = openai.call("POST", path, params={"api-version": "2024-10-21"}, json=body).json()
    return str(answer["choices"][0]["message"]["content"] or "")


def _signed_in() -> dict[str, Any]:
    from azure.identity import DefaultAzureCredential
    from obstore.auth.azure import AzureCredentialProvider

    return {"credential_provider": AzureCredentialProvider(DefaultAzureCredential())}


def _network(stack: Stack) -> str:
    vnet = stack.arm.get(stack.contract.network.id, **{"api-version": "2024-05-01"})
    return _succeeded(vnet, "network")


def _keys(stack: Stack) -> str:
    vaults = stack.listed("Microsoft.KeyVault/vaults", "2024-11-01")
    host = stack.contract.keys.data.split("/keys/")[0].rstrip("/")
    ours = [v for v in vaults if v["properties"]["vaultUri"].rstrip("/") == host]
    if not ours or not ours[0]["properties"].get("enablePurgeProtection"):
        raise NotAsExpected(f"The vault {host} is missing or could be purged", fix="pulumi up puts it right")
    return f"{host} is protected against purging"


def _cluster(stack: Stack) -> str:
    cluster = stack.contract.cluster
    kind, version = ("Microsoft.ContainerService/managedClusters", "2025-05-01")
    if stack.contract.is_small:
        kind, version = ("Microsoft.Compute/virtualMachineScaleSets", "2024-11-01")
    ours = [c for c in stack.listed(kind, version) if c["name"] == cluster.name]
    if not ours:
        raise NotAsExpected(f"{cluster.name} is not there", fix="Has `pulumi up` finished?")
    return _succeeded(ours[0], cluster.name)


def _database(stack: Stack) -> str:
    name = stack.contract.database.host.split(".")[0]
    path = f"{stack.group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/{name}"
    server = stack.arm.get(path, **{"api-version": "2024-08-01"})["properties"]
    allowed = stack.arm.get(f"{path}/configurations/azure.extensions", **{"api-version": "2024-08-01"})
    if "VECTOR" not in allowed["properties"]["value"].upper():
        raise NotAsExpected(f"{name} does not allow pgvector", fix="pulumi up puts it right")
    if server["state"] != "Ready":
        raise NotAsExpected(f"{name} is {server['state']}", fix=f"az postgres flexible-server start --name {name}")
    return f"{name} is Ready and allows pgvector"


def _objects(stack: Stack) -> str:
    return round_trip(stack.contract.objects.documents, **stack.blobs)


def _bus(stack: Stack) -> str:
    """Send, lock, delete our own; whatever else comes is unlocked and left where it is."""
    id_, body = new_message()
    topic, queue = (url.split("/", 3)[3] for url in (stack.contract.bus.topic, stack.contract.bus.queue))
    stack.bus.call("POST", f"{topic}/messages", content=body)
    for _ in range(ATTEMPTS):
        got = stack.bus.call("POST", f"{queue}/messages/head", params={"timeout": "5"})
        if got.status_code == 204:
            continue
        location = got.headers["Location"]
        if is_ours(got.text, id_):
            stack.bus.call("DELETE", location)
            return "a message went through and was taken out again"
        stack.bus.call("PUT", location)
    raise NotAsExpected(f"No message came out of {queue}", fix="Look at the subscription, and who else reads it")


def _registry(stack: Stack) -> str:
    host = stack.contract.registry.url.split("/")[0]
    if not host.endswith(".azurecr.io"):
        return f"{host} is the company's own"
    found = stack.listed("Microsoft.ContainerRegistry/registries", "2023-07-01")
    ours = [r for r in found if r["properties"]["loginServer"] == host]
    if not ours or ours[0]["properties"].get("adminUserEnabled"):
        raise NotAsExpected(f"{host} is missing or has an admin user", fix="pulumi up puts it right")
    return _succeeded(ours[0], host)


def _secrets(stack: Stack) -> str:
    vault = stack.arm.get(stack.contract.secrets.store, **{"api-version": "2024-11-01"})
    names = ", ".join(f"connector-{name}" for name in stack.contract.secrets.connectors)
    return f"{vault['name']} is there; it should hold {names}"


def _models(stack: Stack) -> str:
    if stack.contract.models.kind == "embedded":
        return "the embedded model needs nothing"
    accounts = stack.listed("Microsoft.CognitiveServices/accounts", "2024-10-01")
    ours = [a for a in accounts if a["properties"]["endpoint"] == stack.contract.models.endpoint]
    if not ours:
        raise NotAsExpected(f"No account answers at {stack.contract.models.endpoint}", fix="pulumi up puts it right")
    there = stack.arm.get(f"{ours[0]['id']}/deployments", **{"api-version": "2024-10-01"})["value"]
    missing = {d.name for d in stack.contract.models.deployments} - {d["name"] for d in there}
    if missing:
        raise NotAsExpected(
            f"Not deployed: {', '.join(sorted(missing))}", fix="Raise the model's quota, then pulumi up"
        )
    return f"{len(there)} models deployed"


def _identity(stack: Stack) -> str:
    found = stack.listed("Microsoft.ManagedIdentity/userAssignedIdentities", "2023-01-31")
    missing = set(stack.contract.identity.principals.values()) - {i["properties"]["clientId"] for i in found}
    if missing:
        raise NotAsExpected(f"{len(missing)} identities are missing", fix="pulumi up puts it right")
    return f"{len(set(stack.contract.identity.principals.values()))} identities"


def _edge(stack: Stack) -> str:
    return resolves(stack.contract.edge.hostname)


def _observability(stack: Stack) -> str:
    workspace = stack.arm.get(stack.contract.observability.logs, **{"api-version": "2023-09-01"})
    return f"{workspace['name']} keeps {workspace['properties']['retentionInDays']} days"


def _alerts(stack: Stack) -> str:
    group = stack.arm.get(stack.contract.observability.alerts, **{"api-version": "2023-01-01"})
    receivers = group["properties"].get("emailReceivers", [])
    if not receivers:
        fix = "Set observability.alert_email"
        raise NotAsExpected("Alerts reach nobody", fix=fix, verdict=Verdict.WARNING)
    return f"alerts go to {receivers[0]['emailAddress']}"


def _budget(stack: Stack) -> str:
    found = stack.listed("Microsoft.Consumption/budgets", "2024-08-01")
    if not found:
        raise NotAsExpected("There is no budget", fix="pulumi up puts it right")
    return f"{found[0]['properties']['amount']:g} USD a month"


def _succeeded(resource: dict[str, Any], what: str) -> str:
    state = resource["properties"]["provisioningState"]
    if state != "Succeeded":
        raise NotAsExpected(f"{what} is {state}", fix="Wait, or read its activity log")
    return f"{what} is {state}"


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
    "budget": _budget,
}
