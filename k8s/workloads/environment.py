"""The settings of each container, from the contract. What is secret comes from the vault, by external-secrets."""

import json
from collections.abc import Callable
from urllib.parse import quote, urlencode

from infra.contract import Contract
from k8s.workloads.containers import CONTAINERS
from k8s.workloads.vault import systems
from k8s.workloads.walls import GOOGLE_BALANCERS, PRIVATE
from services.core.kit.errors import ConfigurationInvalid

CA_FOLDER = "/etc/pointsman/ca"
CA_FILE = f"{CA_FOLDER}/ca.pem"
CACHE = "/var/cache/pointsman"
RUNS = "/var/lib/pointsman"  # of a training that is not finished
ROUTER_URL = f"http://{CONTAINERS['router'].service}"
WORKER_URL = f"http://worker:{CONTAINERS['worker'].predict}"
COLLECTOR = "http://collector.telemetry:4318"
PROVIDERS = {"bedrock": "bedrock", "azure-openai": "azure", "vertex": "vertex"}
SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"  # for OpenSSL inside psycopg's wheel, which looks elsewhere

Settings = dict[str, str]
TASKS = {"worker": ("PRIORITY", "SUMMARY"), "rag": ("ANSWER",)}  # who asks a language model, and for what


def environment(contract: Contract) -> dict[str, Settings]:
    """POINTSMAN_* and what the clouds' and OpenTelemetry's libraries read, for each container."""
    return {name: _of(contract, name) for name in CONTAINERS}


def _of(contract: Contract, name: str) -> Settings:
    try:
        return {**_everybody(contract, name), **OWN[name](contract)}
    except KeyError as exc:
        fix = "fill it where the contract is made (infra/blueprint.py), or ask for less in k8s/workloads/environment.py"
        raise ConfigurationInvalid(f"The settings of {name}: the contract holds nothing under {exc}; {fix}.") from exc


def needs_authority(contract: Contract) -> bool:
    """Whether the database's authority has to be brought along as a file."""
    return contract.database.ca != "system"


def _everybody(contract: Contract, name: str) -> Settings:
    found = {
        "POINTSMAN_DATABASE_URL": _database_url(contract, name),
        "POINTSMAN_COMPANY": contract.application,
        "POINTSMAN_LOG_LEVEL": "INFO",
        "SSL_CERT_FILE": SYSTEM_AUTHORITIES,
        **_cloud(contract, name),
    }
    if CONTAINERS[name].port:
        found["OTEL_EXPORTER_OTLP_ENDPOINT"] = COLLECTOR
    return found


def _cloud(contract: Contract, name: str) -> Settings:
    """AWS's libraries must be told the region; Azure's metadata service which of a machine's identities is meant."""
    if contract.cloud == "aws":
        return {"AWS_REGION": contract.region}
    if contract.cloud == "azure" and contract.identity.kind == "node":
        return {"AZURE_CLIENT_ID": contract.identity.principals[name]}  # ty: ignore[invalid-argument-type]  # a container
    return {}


def _database_url(contract: Contract, name: str) -> str:
    database = contract.database
    user, way = database.users[name], database.auth  # ty: ignore[invalid-argument-type]  # a container
    is_bundle = database.ca.startswith("https://")
    asked = {
        "sslmode": "verify-full" if is_bundle or database.ca == "system" else "verify-ca",
        "sslrootcert": CA_FILE if needs_authority(contract) else "system",
    }
    if name == "migrator" and way == "aws-iam":
        user, way, asked["secret"] = "", "aws-secret", _admin_secret(contract)
    who = f"{quote(user, safe='')}@" if user else ""
    return f"postgresql+{way}://{who}{database.host}:{database.port}/{database.name}?{urlencode(asked)}"


def _admin_secret(contract: Contract) -> str:
    found = contract.database.admin_secret
    if not found:
        raise ConfigurationInvalid("The contract names no secret of the database's administrator: run `pulumi up`.")
    return found


def _gateway(contract: Contract) -> Settings:
    return {
        "POINTSMAN_OBJECTS_URL": contract.objects.documents,
        "POINTSMAN_GATEWAY_HOST": "0.0.0.0",  # noqa: S104, a pod's own address; who may call is a network policy
        "POINTSMAN_TRUSTED_PROXIES": json.dumps(_proxies(contract)),
        "POINTSMAN_ROUTER_URL": ROUTER_URL,
        "POINTSMAN_WORKER_URL": WORKER_URL,
    }


def _proxies(contract: Contract) -> list[str]:
    """
    Whose X-Forwarded-For is believed: without them, one caller's wrong keys would lock out everybody behind the proxy.
    Google's balancer writes its own address last, behind the caller's. Front Door's addresses are not published as a
    range that stays, so on AKS callers are counted per point of presence.
    """
    if contract.cluster.kind == "gke":
        return [*GOOGLE_BALANCERS, contract.edge.address]
    return list(PRIVATE)


def _router(contract: Contract) -> Settings:
    return {
        "POINTSMAN_OBJECTS_URL": contract.objects.models,
        "POINTSMAN_ROUTER_HOST": "0.0.0.0",  # noqa: S104
        "POINTSMAN_ROUTER_CACHE_DIR": CACHE,
    }


def _worker(contract: Contract) -> Settings:
    return {
        "POINTSMAN_OBJECTS_URL": contract.objects.documents,
        "POINTSMAN_WORKER_METRICS_HOST": "0.0.0.0",  # noqa: S104
        "POINTSMAN_WORKER_HOST": "0.0.0.0",  # noqa: S104
        "POINTSMAN_ROUTER_URL": ROUTER_URL,
        **_events(contract),
        **_asks(contract, 0, "worker"),
    }


def _events(contract: Contract) -> Settings:
    """On the bus and into the lake, where the company wants them."""
    found = {"POINTSMAN_EVENTS_URL": contract.bus.topic} if contract.options.publish_events else {}
    return found | ({"POINTSMAN_LAKE_URL": contract.objects.lake} if contract.objects.lake else {})


def _asks(contract: Contract, which: int, name: str) -> Settings:
    """
    The first deployment sets priorities and writes summaries, the last words the chat's answers: so the bill counts. Of
    redaction nothing is said, which is `strict`: the cloud's model is its vendor's, whoever's account is billed, and
    only an operator says otherwise (ADR 0112).
    """
    models = contract.models
    if not models.deployments:
        return {}
    provider, model = PROVIDERS[models.kind], models.deployments[which].name
    at = {
        "bedrock": {"REGION": contract.region},
        "azure": {"BASE_URL": models.endpoint},
        "vertex": {"PROJECT": contract.account, "REGION": contract.region},
    }[provider]
    wanted = {f"POINTSMAN_LLM__{provider.upper()}__{field}": value for field, value in at.items()}
    return {f"POINTSMAN_LLM__{task}": f"{provider}:{model}" for task in TASKS[name]} | wanted


def _rag(contract: Contract) -> Settings:
    return _visitors(contract) | {
        "POINTSMAN_OBJECTS_URL": contract.objects.models,
        "POINTSMAN_RAG_HOST": "0.0.0.0",  # noqa: S104
        "POINTSMAN_ROUTER_URL": ROUTER_URL,
        "POINTSMAN_RAG_CONNECTOR": next(iter(systems(contract)), "desk"),
        **_asks(contract, -1, "rag"),
    }


def _visitors(contract: Contract) -> Settings:
    """A chat that nobody reaches from outside believes no proxy and opens nothing without a key."""
    edge = contract.edge
    if not edge.chat_hostname:
        return {}
    return {
        "POINTSMAN_TRUSTED_PROXIES": json.dumps(_proxies(contract)),
        "POINTSMAN_RAG_PUBLIC": json.dumps(edge.chat == "public"),
        "POINTSMAN_RAG_ORIGINS": json.dumps(edge.chat_origins),
    }


def _trainer(contract: Contract) -> Settings:
    return {
        "POINTSMAN_OBJECTS_URL": contract.objects.models,
        "POINTSMAN_TRAINER_WORK_DIR": CACHE,
        "POINTSMAN_TRAINER_RUN_DIR": RUNS,
        "POINTSMAN_TRAINER_BUDGET_S": str(contract.options.fine_tune_limit_s),
        "HF_HUB_OFFLINE": "1",
    }


def _migrator(contract: Contract) -> Settings:
    users = {name: user for name, user in contract.database.users.items() if name != "migrator"}
    return {
        "POINTSMAN_OBJECTS_URL": contract.objects.documents,
        "POINTSMAN_MIGRATOR_USERS": json.dumps(users, sort_keys=True),
    }


OWN: dict[str, Callable[[Contract], Settings]] = {
    "gateway": _gateway,
    "router": _router,
    "worker": _worker,
    "rag": _rag,
    "trainer": _trainer,
    "migrator": _migrator,
}
