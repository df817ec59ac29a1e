"""Every container's settings, made from what its pod is given: none missing, none that points at the pod itself."""

import json
from typing import Any

import pytest

from infra.contract import Contract
from k8s.workloads.containers import CONTAINERS, SERVING
from k8s.workloads.environment import environment
from k8s.workloads.own import CLASSES
from k8s.workloads.pods import Rollout
from services.core.kit import login
from services.core.kit.errors import ConfigurationInvalid
from services.core.kit.settings import PlatformSettings, WorkloadIdentity, read_settings
from services.core.llm.build import is_strict
from services.migrator.grants import GRANTS
from services.rag.settings import RagSettings
from services.worker.settings import WorkerSettings
from tests.k8s.conftest import OVERLAYS

NEEDED = """
gateway:GATEWAY_HOST gateway:ROUTER_URL gateway:WORKER_URL router:ROUTER_HOST router:ROUTER_CACHE_DIR rag:RAG_HOST
worker:WORKER_METRICS_HOST worker:WORKER_HOST worker:OBJECTS_URL worker:ROUTER_URL trainer:TRAINER_WORK_DIR
"""
OFF = ("database_url",)  # an address, which has its own test
HERE = ("127.0.0.1", "localhost", ".pointsman")
Rollouts = dict[tuple[str, str], Rollout]


def read(container: str, given: dict[str, str]) -> PlatformSettings:
    return read_settings(CLASSES[container], given)


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_no_setting_is_missing_or_a_laptops(stack: tuple[str, str], rollouts: Rollouts) -> None:
    """A default that means this machine would make a pod wait for itself for ever."""
    found = environment(rollouts[stack].contract)
    assert set(found) == set(CONTAINERS) == set(CLASSES)
    for container, given in found.items():
        settings = read(container, given)
        loose = {n: v for n, v in _flat(settings) if any(word in str(v) for word in HERE)}
        assert loose == {}, container
        known = {f"POINTSMAN_{name.upper()}" for name in type(settings).model_fields}
        assert {n.split("__")[0] for n in given if n.startswith("POINTSMAN_")} <= known, container


def test_a_name_that_the_contract_lacks_is_a_sentence(rollouts: Rollouts) -> None:
    """A dict of users without the one that a container logs in as ended the plan with KeyError: 'worker'."""
    contract = rollouts["aws", "prod"].contract
    users = {name: user for name, user in contract.database.users.items() if name != "worker"}
    less = contract.model_copy(update={"database": contract.database.model_copy(update={"users": users})})
    with pytest.raises(ConfigurationInvalid, match=r"settings of worker: the contract holds nothing under 'worker'"):
        environment(less)


UNREAD = {
    "version": "read_contract asks",
    "profile": "read as `is_small`",
    "network": "pods stand in it already",
    "keys": "services encrypt with it by themselves",
    "observability": "the collector's: an add-on",
    "ci": "for the repository's settings",
    "registry": "read where images are chosen: k8s/workloads/run.py",
}


class Noted:
    """A contract that remembers which of its parts somebody asked for."""

    def __init__(self, contract: Contract) -> None:
        self.contract, self.seen = contract, set()

    def __getattr__(self, part: str) -> Any:
        self.seen.add(part)
        return getattr(self.contract, part)


def test_every_part_of_the_contract_is_read_or_says_who_reads_it(rollouts: Rollouts) -> None:
    """A cache that is planned, granted and promised, and of which no container hears, would be paid for in vain."""
    seen: set[str] = set()
    for rollout in rollouts.values():
        everything_on = rollout.contract.options.model_copy(update={"publish_events": True})
        noted = Noted(rollout.contract.model_copy(update={"options": everything_on}))
        environment(noted)  # ty: ignore[invalid-argument-type]  # the contract, watched
        seen |= noted.seen
    assert set(Contract.model_fields) - seen - set(UNREAD) == set()
    assert not seen & set(UNREAD)


def _flat(settings: Any) -> list[tuple[str, Any]]:
    return [(name, getattr(settings, name)) for name in type(settings).model_fields if name not in OFF]


def test_a_forgotten_setting_would_show(rollouts: Rollouts) -> None:
    """The check above, shown each setting that it is there for."""
    found = environment(rollouts["gcp", "prod"].contract)
    for words in NEEDED.split():
        container, name = words.split(":")
        given = {n: v for n, v in found[container].items() if n != f"POINTSMAN_{name}"}
        settings = read(container, given)
        assert any(word in str(getattr(settings, name.lower())) for word in HERE), name


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_each_container_listens_where_its_pod_is_asked(stack: tuple[str, str], rollouts: Rollouts) -> None:
    """The ports of the table are the ones the settings have by default."""
    ports = {
        "gateway": "gateway_port",
        "router": "router_http_port",
        "worker": "worker_metrics_port",
        "rag": "rag_port",
    }
    found = environment(rollouts[stack].contract)
    for one in SERVING:
        assert getattr(read(one.name, found[one.name]), ports[one.name]) == one.port


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_everybody_logs_in_by_identity_to_a_verified_server(stack: tuple[str, str], rollouts: Rollouts) -> None:
    """An address that our own code takes, with the container's own user; the migrator is the administrator."""
    contract = rollouts[stack].contract
    found = environment(contract)
    ways = {"aws": "aws-iam", "azure": "entra", "gcp": "gcp-iam"}
    for name, given in found.items():
        url = given["POINTSMAN_DATABASE_URL"]
        wanted = "aws-secret" if (stack[0], name) == ("aws", "migrator") else ways[stack[0]]
        assert login.way_of(url) == wanted
        assert wanted in login.WAYS
        assert "sslmode=verify-" in url
        assert "sslrootcert=" in url
        if stack[0] == "aws":
            assert given["AWS_REGION"] == contract.region
    users = found["migrator"]["POINTSMAN_MIGRATOR_USERS"]
    assert all(f'"{name}"' in users for name in GRANTS)


def test_the_variables_of_a_cloud_are_read_by_somebody(rollouts: Rollouts) -> None:
    """What is not ours is a name that a library reads; a misspelt one would be read by nobody."""
    known = {"AWS_REGION", "SSL_CERT_FILE", "OTEL_EXPORTER_OTLP_ENDPOINT", "HF_HUB_OFFLINE"}
    known |= {name.upper() for name in WorkloadIdentity.model_fields}
    for rollout in rollouts.values():
        names = {n for given in environment(rollout.contract).values() for n in given if not n.startswith("POINTSMAN_")}
        assert names <= known


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_a_clouds_model_is_asked_in_the_strict_level(stack: tuple[str, str], rollouts: Rollouts) -> None:
    """It is its vendor's, whoever's account is billed; only an operator may say that a model is their own."""
    settings = read("worker", environment(rollouts[stack].contract)["worker"])
    assert isinstance(settings, WorkerSettings)
    assert settings.llm.priority != "extractive"
    assert is_strict(settings.llm.priority, settings.llm)
    assert is_strict(settings.llm.summary, settings.llm)
    chat = read("rag", environment(rollouts[stack].contract)["rag"])
    assert isinstance(chat, RagSettings)
    assert chat.llm.answer.endswith(f":{rollouts[stack].contract.models.deployments[-1].name}")
    assert is_strict(chat.llm.answer, chat.llm)


@pytest.mark.parametrize(("chat", "public"), [("off", None), ("keys", "false"), ("public", "true")])
def test_who_opens_a_conversation_is_the_contracts_word(chat: str, public: str | None, rollouts: Rollouts) -> None:
    """A chat that is kept inside believes no proxy; with a way in, callers are told apart as at the gateway."""
    contract = rollouts["gcp", "prod"].contract
    host = "" if chat == "off" else "chat.tickets.example.com"
    edge = {"chat": chat, "chat_hostname": host, "chat_origins": ("https://www.example.com",)}
    changed = contract.model_copy(update={"edge": contract.edge.model_copy(update=edge)})
    found = environment(changed)
    assert found["rag"].get("POINTSMAN_RAG_PUBLIC") == public
    proxies = found["gateway"]["POINTSMAN_TRUSTED_PROXIES"] if host else None
    assert found["rag"].get("POINTSMAN_TRUSTED_PROXIES") == proxies
    assert found["rag"].get("POINTSMAN_RAG_ORIGINS") == ('["https://www.example.com"]' if host else None)


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_callers_are_told_apart_behind_each_way_in(stack: tuple[str, str], rollouts: Rollouts) -> None:
    """Else one caller's wrong keys would lock out everybody who comes through the same proxy."""
    from uvicorn.middleware.proxy_headers import _TrustedHosts

    contract = rollouts[stack].contract
    trusted = _TrustedHosts(json.loads(environment(contract)["gateway"]["POINTSMAN_TRUSTED_PROXIES"]))
    hops = f"198.51.100.1, 203.0.113.9, {contract.edge.address}" if contract.cluster.kind == "gke" else "203.0.113.9"
    assert trusted.get_trusted_client_address(hops)[0] == "203.0.113.9"
    peer = "35.191.4.5" if contract.cluster.kind == "gke" else "10.20.3.4"
    assert peer in trusted
    assert "203.0.113.9" not in trusted
