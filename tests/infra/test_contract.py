"""The contract is versioned: what consumers read is this version, and an older one says what to do."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import Field, create_model

from infra.contract import VERSION, Contract, Part, read_contract
from infra.grants import GRANTS, PLATFORM
from infra.offline.plan import CLOUDS, STACKS, load, plan_stack
from infra.policies.rules.equivalence import excused
from services.core.kit.errors import ConfigurationInvalid
from tests.golden import check_golden
from tests.planned import PROFILES, Plans

ROOT = Path(__file__).parents[2]
SHAPES = Path(__file__).parent / "golden" / "contract-versions.txt"
DIGEST = "sha256:" + "0123456789abcdef" * 4


def planned(plans: Plans, cloud: str, profile: str) -> Contract:
    return read_contract(json.dumps(plans[cloud, profile].contract))


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("profile", PROFILES)
def test_planned_contract_is_read(plans: Plans, cloud: str, profile: str) -> None:
    """What `up` exports is what consumers take, to the letter."""
    contract = planned(plans, cloud, profile)
    assert contract.version == VERSION
    assert set(contract.identity.principals) == set(GRANTS)
    assert set(contract.identity.platform) == set(PLATFORM)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (
            VERSION - 1,
            rf"version {VERSION - 1}, this program reads {VERSION}\. Run `pulumi up` .*stack output contract --json",
        ),
        (VERSION + 1, f"version {VERSION + 1}, this program reads {VERSION}: update this program"),
        (None, "names no version"),
        ("3", "names no version"),
    ],
)
def test_contract_of_another_version_is_refused(plans: Plans, version: Any, words: str) -> None:
    """Whoever comes with an old one hears what to do, not which of forty fields are missing."""
    raw = {**plans["aws", "prod"].contract, "version": version}
    with pytest.raises(ConfigurationInvalid, match=words):
        read_contract(json.dumps(raw))


def test_an_authority_that_one_cloud_forgot_is_found() -> None:
    """What another cloud, or another profile, goes without is no excuse."""
    assert not excused("empty in `small`", "gcp")
    assert not excused("GCP: PEM of the server", "gcp")
    assert excused("GCP: PEM of the server", "aws")


@pytest.mark.parametrize("text", ["", "null", "[]", "not json"])
def test_what_is_no_contract_is_refused(text: str) -> None:
    """An empty answer of `pulumi stack output` is not a traceback."""
    with pytest.raises(ConfigurationInvalid, match=r"This is no contract: .*pulumi stack output contract --json"):
        read_contract(text)


def test_a_missing_field_is_named(plans: Plans) -> None:
    """The version is right and the content is not."""
    raw = json.loads(json.dumps(plans["gcp", "prod"].contract))
    del raw["edge"]["origin_host"]
    with pytest.raises(ConfigurationInvalid, match=r"edge\.origin_host: Field required"):
        read_contract(json.dumps(raw))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_managed_stack_says_what_workloads_and_operators_need(plans: Plans, cloud: str) -> None:
    """Authority, pools, names to delegate, where secrets are asked for: nobody looks them up by hand."""
    contract = planned(plans, cloud, "prod")
    assert contract.cluster.ca
    assert set(contract.cluster.pools) == {"workers", "gpu"}
    assert any(t.key == "nvidia.com/gpu" for t in contract.cluster.pools["gpu"].taints)
    assert contract.edge.zone
    assert contract.edge.name_servers
    assert contract.edge.tls_policy
    assert contract.database.ca
    assert contract.registry.pull_secret == ""


@pytest.mark.parametrize("cloud", CLOUDS)
def test_single_node_pulls_with_a_secret_and_has_no_pools(plans: Plans, cloud: str) -> None:
    """k3s cannot borrow the node's identity to pull; an external registry is the company's business."""
    contract = planned(plans, cloud, "small")
    own = contract.registry.url.split("/")[0].endswith((".amazonaws.com", ".azurecr.io", ".pkg.dev"))
    assert contract.registry.pull_secret == ("registry" if own else "")
    assert contract.cluster.pools == {}


def test_a_caller_sends_the_deployments_name(plans: Plans) -> None:
    """`gpt-5-nano@2025-08-07` is a model and its version; what answers is the deployment `gpt-5-nano`."""
    deployed = {
        r.inputs["deploymentName"]
        for r in plans["azure", "prod"].resources
        if r.type == "azure-native:cognitiveservices:Deployment"
    }
    named = planned(plans, "azure", "prod").models.deployments
    assert {d.name for d in named} == deployed
    assert [d.model for d in named] == ["gpt-5-nano@2025-08-07", "gpt-5-mini@2025-08-07"]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_taints_of_the_contract_are_those_of_the_pools(plans: Plans, cloud: str) -> None:
    """A toleration that names another taint leaves the pods pending."""
    plan = plans[cloud, "prod"]
    inputs = [r.inputs for r in plan.resources if r.capability == "cluster"]
    made = json.dumps([inputs, plan.contract["cluster"].get("manifests")])  # on AWS pools are the platform layer's
    for pool in planned(plans, cloud, "prod").cluster.pools.values():
        for taint in pool.taints:
            assert f'"key": "{taint.key}"' in made or f"{taint.key}={taint.value}:NoSchedule" in made


def test_digest_pins_the_image(tmp_path: Path) -> None:
    """CI writes the digest it pushed into the settings; the reference then names it."""
    folder = tmp_path / "aws"
    folder.mkdir()
    for name in ("Pulumi.yaml", "__main__.py", "Pulumi.small.yaml"):
        (folder / name).write_text((STACKS / "aws" / name).read_text())
    with (folder / "Pulumi.small.yaml").open("a") as file:
        file.write(f"    options: {{digests: {{gateway: '{DIGEST}'}}}}\n")
    registry = plan_stack(load("aws", "small", root=tmp_path)).contract["registry"]
    assert registry["images"]["gateway"].endswith(f"/gateway@{DIGEST}")
    assert registry["digests"] == {"gateway": DIGEST}


def test_another_shape_is_another_version() -> None:
    """Consumers refuse a version they do not know; a field that comes or goes without one is read wrong in silence."""
    known = dict(line.split() for line in _settled(SHAPES).splitlines())
    shape = fingerprint(Contract.model_json_schema())
    assert known.get(str(VERSION), shape) == shape, "raise VERSION (ADR 0105)"  # make golden adds a version, no more
    check_golden(SHAPES, "".join(f"{version} {one}\n" for version, one in {**known, str(VERSION): shape}.items()))


def _settled(file: Path) -> str:
    """As it was committed: a version that nobody else has seen yet is still at work. Without git, as it stands."""
    path = file.relative_to(ROOT).as_posix()
    done = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else file.read_text("utf-8")


@pytest.mark.parametrize("default", [..., "", Field(description="where it is")])
def test_a_text_that_may_be_empty_says_when(default: Any) -> None:
    """A host that is empty in one cloud plans clean and is connected to in vain; here it is not even imported."""
    with pytest.raises(TypeError, match=r"Cache\.host may be empty\. Make it a Text, or say in `description` when"):
        create_model("Cache", __base__=Part, host=(str, default))
    create_model("Cache", __base__=Part, host=(str, Field("", description="empty in `small`")))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"profile": "small"}, "profile small and cluster.kind eks do not go together"),
        ({"cluster": {"deploy": "s3://deploy"}}, "k3s is fed from there, and nothing else is"),
        ({"objects": {"lake": ""}}, "options.event_lake is True"),
        ({"models": {"deployments": []}}, "models.kind is bedrock, and models.deployments ()"),
    ],
)
def test_one_fact_in_two_places_is_one_fact(plans: Plans, change: dict[str, Any], words: str) -> None:
    """`small` is the profile; the kind of its cluster, where it is fed from, and a lake that is asked for, follow."""
    raw = plans["aws", "prod"].contract
    more = {key: {**raw[key], **value} if isinstance(value, dict) else value for key, value in change.items()}
    with pytest.raises(ConfigurationInvalid, match=re.escape(words)):
        read_contract(json.dumps({**raw, **more}))


def test_nobody_asks_the_cluster_whether_a_stack_is_small() -> None:
    """One switch: `is_small` of settings, contract and rules; the kind says in which cloud's words to speak."""
    files = [p for folder in ("infra", "k8s", "services/cli", "cost") for p in (ROOT / folder).rglob("*.py")]
    asking = [p for p in files if re.search(r"kind [!=]= .k3s|profile is Profile\.SMALL", p.read_text("utf-8"))]
    assert {p.relative_to(ROOT).as_posix() for p in asking} == {"infra/contract.py", "infra/settings.py"}


READERS = ("infra/smoke", "infra/preflight", "infra/workloads", "k8s", "services/cli", ".github", "design/guides")
TOLD = {
    "version": "read_contract compares it",
    "profile": "people: which of three stacks this is",
    "cluster.arch": "people who build images themselves",
    "cluster.deploy": "people who feed the node by hand",
    "cluster.pools.taints.key": "pods tolerate the whole taint",
    "cluster.pools.taints.value": "pods tolerate the whole taint",
    "cluster.pools.taints.effect": "pods tolerate the whole taint",
    "database.admin": "the migrator, as its own user",
    "bus.kind": "the address of the topic says it",
    "bus.dead_letters": "people: the runbook of dead letters",
    "registry.digests": "are part of registry.images",
    "secrets.kind": "the store of external-secrets is chosen by the cloud",
    "secrets.uri": "external-secrets",
    "identity.platform": "external-secrets, cert-manager and the collector",
    "edge.zone": "cert-manager",
    "edge.name_servers": "people: the parent domain",
    "observability.metrics": "the collector",
    "observability.traces": "the collector",
    "ci.principal": "people: the repository's settings",
    "models.deployments.model": "people: the word of the settings",
    "options.mock_data": "`pointsman up` of a trial",
    "options.test_tickets": "`pointsman up` of a trial",
    "options.spot_training": "the Kubernetes side of the trainer",
    "options.event_lake": "objects.lake is there or not",
}


def leaves(part: type[Part], path: str = "") -> Iterator[str]:
    for name, field in part.model_fields.items():
        inner = [
            t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type) and issubclass(t, Part)
        ]
        yield from leaves(inner[0], f"{path}{name}.") if inner else (path + name,)


def is_read(leaf: str, texts: list[str]) -> bool:
    """As `part.name`, by code or by a command of a guide; what lies deeper, by the last part's name."""
    part, _, name = f"contract.{leaf}".rpartition(".")
    return any(re.search(rf"\b{part.rpartition('.')[2].rstrip('s')}\w*(\[[^]]*\])?\.{name}\b", text) for text in texts)


def test_every_field_of_the_contract_is_read_by_somebody() -> None:
    """A host that nobody asks for is promised in vain; who reads and is not code has a name here."""
    files = [p for folder in READERS for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".yml", ".md")]
    texts = [p.read_text("utf-8") for p in files]
    found = set(leaves(Contract))
    assert sorted(leaf for leaf in found if leaf not in TOLD and not is_read(leaf, texts)) == []
    assert set(TOLD) <= found
    assert not is_read("database.replica", texts)


def fingerprint(schema: Any) -> str:
    """Of what is asked for, not of the words that explain it."""

    def shape(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: shape(value) for key, value in node.items() if key not in ("description", "title", "examples")}
        return [shape(value) for value in node] if isinstance(node, list) else node

    return hashlib.sha256(json.dumps(shape(schema), sort_keys=True).encode()).hexdigest()[:16]
