"""What each container may reach, against what its code calls and what its identity may use."""

import ast
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

from infra.catalogue import GIVER
from infra.grants import GRANTS, Access
from k8s.workloads.containers import CONTAINERS, Target
from k8s.workloads.pods import Rollout
from k8s.workloads.vault import READERS
from k8s.workloads.walls import IDENTITY, egress, policies, way_to
from services.core.kit.errors import ConfigurationInvalid
from tests.k8s.conftest import OVERLAYS

ROOT = Path(__file__).parents[3] / "services"
# A name in a container's own code, and whom it is the way to.
WORDS = {
    "router_url": Target.ROUTER,
    "worker_url": Target.WORKER,
    "build_publisher": Target.EVENTS,
    "open_store": Target.OBJECTS,
    "build_llm": Target.MODELS,
    "build_answerer": Target.MODELS,
    "configure_traces": Target.TELEMETRY,
    "send_mail": Target.MAIL,
    "smtplib": Target.MAIL,
}
WORDS |= {f"{target}_url": target for target in Target if target not in WORDS.values()}
CALLED = {"write", "fetch", "open", "changes"}  # of a connector: only these leave the process
# Whom an access is about: what gives it, by its own name where it is not called otherwise here.
CALLED_OTHERWISE = {"bus": Target.EVENTS, Access.DATABASE_ADMIN: Target.SECRETS}
BY_ACCESS = {
    access: CALLED_OTHERWISE.get(access) or CALLED_OTHERWISE.get(GIVER[access]) or Target(GIVER[access])
    for access in frozenset().union(*GRANTS.values()) - {Access.SECRETS_READ}  # secrets are brought to it
}
Rollouts = dict[tuple[str, str], Rollout]


def names(container: str) -> Iterator[str]:
    for file in sorted((ROOT / container).rglob("*.py")):
        if file.name == "settings.py":
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Name):
                yield node.id
            elif isinstance(node, ast.Attribute):
                yield node.attr
                if node.attr in CALLED and isinstance(node.value, ast.Name) and node.value.id == "connector":
                    yield "connector." + node.attr


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_may_call_whom_its_code_calls_and_nobody_else(container: str) -> None:
    """Found in the code itself: a new call without a hole in the wall fails here, and so does a hole without a call."""
    used = set(names(container))
    calls = {target for word, target in WORDS.items() if word in used}
    if any(word.startswith("connector.") for word in used):
        calls |= {Target.SYSTEMS, Target.MAIL}  # one of them is a mailbox
    if container == "migrator":
        calls.add(Target.SECRETS)  # AWS keeps its administrator there: services/core/kit/login.py
    assert calls == set(CONTAINERS[container].calls)


@pytest.mark.parametrize("container", CONTAINERS)
def test_what_may_be_reached_may_also_be_used(container: str) -> None:
    """A hole in the wall without a grant of the cloud, or the other way round, is one of both forgotten."""
    granted = {BY_ACCESS[access] for access in GRANTS[container] if access in BY_ACCESS}
    used = set(CONTAINERS[container].calls) & set(BY_ACCESS.values())
    assert used == granted
    assert (Access.SECRETS_READ in GRANTS[container]) <= (container in READERS)


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_everything_is_closed_and_the_metadata_service_open_only_for_tokens(
    stack: tuple[str, str], rollouts: Rollouts
) -> None:
    """Default-deny both ways; link-local addresses are in no wide rule, only in the identity's own."""
    contract = rollouts[stack].contract
    found = policies(contract)
    assert found[0]["spec"]["podSelector"] == {}
    assert found[0]["spec"]["ingress"] == []
    for one in found:
        assert one["spec"]["policyTypes"] == ["Ingress", "Egress"]
        for rule in one["spec"]["egress"]:
            assert rule["ports"], "a rule without ports opens all of them"
            assert rule["to"], "a rule without a place opens every place"
    for container in CONTAINERS.values():
        blocks = [b["ipBlock"] for rule in egress(contract, container) for b in rule["to"] if "ipBlock" in b]
        wide = [b for b in blocks if b["cidr"].endswith("/0")]
        assert all(b["except"] == ["169.254.0.0/16"] for b in wide)
        narrow = {b["cidr"] for b in blocks if b["cidr"].startswith("169.254.")}
        assert narrow == {cidr for cidr, _ in IDENTITY[contract.identity.kind]}


def test_a_target_that_nobody_can_place_is_refused(rollouts: Rollouts) -> None:
    """What stands in our network is reached at the contract's port; a name without one would be no wall at all."""
    contract = rollouts["aws", "prod"].contract
    assert [port["port"] for port in way_to(contract, Target.DATABASE)["ports"]] == [contract.database.port]
    with pytest.raises(ConfigurationInvalid, match=r"Where is barn\?"):
        way_to(contract, StrEnum("Elsewhere", {"BARN": "barn"}).BARN)  # ty: ignore[invalid-argument-type]


def test_the_gateway_cannot_call_out_on_clouds_that_sign_at_home(rollouts: Rollouts) -> None:
    """It takes calls from the internet and makes none: on AWS and Google Cloud nothing but the database, the router,
    the collector and the place of its token is open to it."""
    for cloud in ("aws", "gcp"):
        rules = egress(rollouts[cloud, "prod"].contract, CONTAINERS["gateway"])
        assert [rule for rule in rules for port in rule["ports"] if port["port"] == 443] == []


def test_only_who_asks_the_router_may(rollouts: Rollouts) -> None:
    (router,) = [p for p in policies(rollouts["aws", "prod"].contract) if p["metadata"]["name"] == "router"]
    peers = router["spec"]["ingress"][0]["from"]
    assert [p["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for p in peers if "podSelector" in p] == [
        "gateway",
        "worker",
        "rag",
    ]
