"""What an operator may put beside the containers: a router of another version, a language model of one's own."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from k8s.rules import pods
from k8s.workloads.containers import CANARY, CONTAINERS, Target
from k8s.workloads.environment import TASKS
from k8s.workloads.llm import CALLERS, NAME, SelfHosted, read_self_hosted
from k8s.workloads.objects import objects
from k8s.workloads.pods import Rollout
from services.cli.__main__ import app
from services.core.kit.errors import ConfigurationInvalid, InputInvalid
from services.core.llm.build import build_llm, is_strict
from services.worker.settings import WorkerSettings
from tests.k8s.conftest import AUTHORITY, Rendered, images
from tests.k8s.workloads.check import problems
from tests.k8s.workloads.test_objects import needs_crds, of

Rollouts = dict[tuple[str, str], Rollout]
OTHER = f"registry.example.com/router@sha256:{'a' * 64}"
OWN = SelfHosted(image=f"vllm/vllm-openai@sha256:{'b' * 64}", model="s3://acme-models/qwen3-8b", name="qwen3-8b")
CLOUDS = ("aws", "azure", "gcp")


def with_canary(rollout: Rollout) -> Rollout:
    return replace(rollout, images={**rollout.images, CANARY: OTHER})


@needs_crds
@pytest.mark.parametrize("cloud", CLOUDS)
def test_both_are_taken_by_an_api_server_and_by_our_rules(cloud: str, rollouts: Rollouts) -> None:
    """Restricted pods, digests, names that meet; by KServe's own definitions."""
    rollout = with_canary(replace(rollouts[cloud, "prod"], llm=OWN))
    assert problems(objects(rollout), versions=("1.35",)) == []


def test_a_canary_is_one_pod_of_another_image_behind_the_same_service(rollouts: Rollouts, rendered: Rendered) -> None:
    """Nothing else changes: walls, budget and Service know the router by its label."""
    found, before = objects(with_canary(rollouts["aws", "prod"])), rendered["aws", "prod"]
    added = [one for one in found if one not in before]
    assert [(one["kind"], one["metadata"]["name"]) for one in added] == [
        ("ServingRuntime", f"pointsman-{CANARY}"),
        ("InferenceService", CANARY),
    ]
    assert [one for one in before if one not in found] == []
    ((_, labels, spec),) = [one for one in pods(found) if one[0] == f"InferenceService/{CANARY}"]
    assert spec["containers"][0]["image"] == OTHER
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 1)
    assert of(found, "Service", "routers")["spec"]["selector"].items() <= labels.items()
    ((_, _, serving),) = [one for one in pods(found) if one[0] == "InferenceService/router"]
    assert serving["containers"][0]["image"] == images()["router"]


def test_a_canary_on_one_machine_and_an_image_that_nobody_knows_are_refused(rollouts: Rollouts) -> None:
    with pytest.raises(ConfigurationInvalid, match="room for one router"):
        with_canary(rollouts["gcp", "small"])
    with pytest.raises(ConfigurationInvalid, match=r"No image of ours is called \['ruoter'\]"):
        replace(rollouts["gcp", "prod"], images={**images(), "ruoter": OTHER})
    with pytest.raises(ConfigurationInvalid, match=r"No digest for the images \['router-canary'\]"):
        replace(rollouts["gcp", "prod"], images={**images(), CANARY: "registry.example.com/router:1"})


def rules(found: list[dict[str, Any]], name: str, way: str) -> list[dict[str, Any]]:
    return of(found, "NetworkPolicy", name)["spec"].get(way, [])


@pytest.mark.parametrize("cloud", CLOUDS)
def test_who_asks_models_reaches_it_and_nobody_else(cloud: str, rollouts: Rollouts) -> None:
    """From the table of calls; it reaches no database and no other pod."""
    found = objects(replace(rollouts[cloud, "prod"], llm=OWN))
    assert set(CALLERS) == {name for name, one in CONTAINERS.items() if Target.MODELS in one.calls}
    (way_in,) = rules(found, NAME, "ingress")
    callers = [p["podSelector"]["matchLabels"] for p in way_in["from"] if "podSelector" in p]
    assert callers == [{"app.kubernetes.io/name": name} for name in CALLERS]
    for name in CALLERS:
        (opened,) = rules(found, f"{name}-{NAME}", "egress")
        assert opened["to"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": NAME}}}]
        assert of(found, "NetworkPolicy", f"{name}-{NAME}")["spec"]["policyTypes"] == ["Egress"]
    ports = {port["port"] for rule in rules(found, NAME, "egress") for port in rule["ports"]}
    assert 443 in ports
    assert 5432 not in ports
    assert not [p for rule in rules(found, NAME, "egress") for p in rule["to"] if "podSelector" in p]


def test_the_worker_asks_it_instead_of_the_clouds(rollouts: Rollouts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that our own code builds a model from; the text stays in the cluster, so `standard` redaction holds."""
    found = objects(replace(rollouts["aws", "prod"], llm=OWN))
    container = of(found, "StatefulSet", "worker")["spec"]["template"]["spec"]["containers"][0]
    for one in container["env"]:
        monkeypatch.setenv(one["name"], one["value"])
    settings = WorkerSettings.read()
    assert settings.llm.priority == settings.llm.summary == "openai:qwen3-8b"
    assert settings.llm.openai.base_url == "http://vllm/v1"
    assert not is_strict(settings.llm.priority, settings.llm)
    assert build_llm(settings.llm)
    assert not [one for one in container["env"] if "BEDROCK" in one["name"]]
    assert of(found, "Service", "vllm")["spec"]["selector"] == {"app.kubernetes.io/name": NAME}


def test_who_asks_a_model_is_told_which(rollouts: Rollouts) -> None:
    """A caller that nobody told would quote documents for ever, and be billed for words."""
    assert set(TASKS) == set(CALLERS)
    found = objects(replace(rollouts["aws", "prod"], llm=OWN))
    (chat,) = of(found, "Deployment", "rag")["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one["value"] for one in chat["env"] if "_LLM__" in one["name"]}
    assert told["POINTSMAN_LLM__ANSWER"] == "openai:qwen3-8b"
    assert not [name for name in told if "BEDROCK" in name]


def test_it_waits_for_a_gpu_and_is_refused_where_there_is_none(rollouts: Rollouts) -> None:
    prod = rollouts["gcp", "prod"]
    spec = of(objects(replace(prod, llm=OWN)), "InferenceService", NAME)["spec"]["predictor"]
    assert spec["nodeSelector"] == prod.contract.cluster.pools["gpu"].selector
    with pytest.raises(ConfigurationInvalid, match="no KServe and no GPU"):
        replace(rollouts["gcp", "small"], llm=OWN)
    workers = {name: pool for name, pool in prod.contract.cluster.pools.items() if name != "gpu"}
    bare = prod.contract.model_copy(update={"cluster": prod.contract.cluster.model_copy(update={"pools": workers})})
    with pytest.raises(ConfigurationInvalid, match="no GPU machines"):
        replace(prod, contract=bare, llm=OWN)


@pytest.mark.parametrize("change", [{"image": "vllm:latest"}, {"model": "qwen"}, {"name": "a b"}, {"gpu": 2}])
def test_a_description_that_cannot_be_is_refused_with_an_example(change: dict[str, Any]) -> None:
    with pytest.raises(InputInvalid, match="For example"):
        read_self_hosted(json.dumps(OWN.model_dump() | change))


def test_the_command_line_takes_both(rollouts: Rollouts, tmp_path: Path) -> None:
    (tmp_path / "contract.json").write_text(rollouts["aws", "prod"].contract.model_dump_json())
    (tmp_path / "images.json").write_text(json.dumps({**images(), CANARY: OTHER}))
    (tmp_path / "llm.json").write_text(OWN.model_dump_json())
    (tmp_path / "ca.pem").write_text(AUTHORITY)
    given = [
        part
        for name, file in (
            ("contract", "contract.json"),
            ("images", "images.json"),
            ("authority", "ca.pem"),
            ("llm", "llm.json"),
        )
        for part in (f"--{name}", str(tmp_path / file))
    ]
    done = CliRunner().invoke(app, ["render", "aws", *given])
    assert done.exit_code == 0, done.output
    assert f"name: {CANARY}" in done.stdout
    assert "name: vllm" in done.stdout
