"""The clouds' pages: the same steps in the same order, and nothing named that is not there."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.contract import Contract
from infra.layers.deploy import STACKS, Step
from tests.test_docs import COMMAND, FENCE, ROOT, SPAN

GUIDES = ROOT / "design/guides"
CLOUDS = ("aws", "azure", "gcp")
RUNBOOKS = sorted((ROOT / "design/runbooks").glob("*.md"))
FIELD = re.compile(r"jq -r \.([\w.]+) contract\.json")
OBJECT = re.compile(
    r"\b(deploy|deployment|statefulset|cronjob|job|scaledobject|inferenceservice|externalsecret)[/ ]([a-z][a-z0-9-]+)"
)
KINDS = {
    "deploy": "Deployment",
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "cronjob": "CronJob",
    "job": "Job",
    "scaledobject": "ScaledObject",
    "inferenceservice": "InferenceService",
    "externalsecret": "ExternalSecret",
}
HEADINGS = [
    "What it costs from which moment",
    *("1. Plan, without an account", "2. State and its key, once per", "3. Settings and preflight", "4. Ground"),
    *("5. Images", "6. Secrets and the text encoder", "7. Platform, migrate, workloads", "8. The first key"),
    *("9. The first ticket", "10. Check", "11. History and the first model"),
    *("Upgrade", "Roll back", "Remove everything", "Small", "GitHub Actions", "Drift"),
]


def page(cloud: str) -> str:
    return (GUIDES / f"deploy-{cloud}.md").read_text("utf-8")


def commands(text: str) -> list[str]:
    """All that is to be typed, line by line."""
    return [line.strip() for language, block in FENCE.findall(text) if language == "sh" for line in block.splitlines()]


def ours(cloud: str) -> list[str]:
    """Our own commands, Pulumi's and kubectl's, with the cloud's name taken out."""
    found = [line for line in commands(page(cloud)) if re.match(r"(make|pointsman|kubectl|sudo make|pulumi) ", line)]
    kept = [line for line in found if not re.match(r"pulumi login|pulumi stack init", line)]
    return [re.sub(rf"\b{cloud}\b", "CLOUD", line) for line in kept]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_page_goes_from_nothing_to_a_ticket_and_back_to_nothing(cloud: str) -> None:
    """Each part is there, in the order in which it is needed."""
    text = page(cloud)
    found = re.findall(r"^## (.+)$", FENCE.sub("", text), re.MULTILINE)
    assert len(found) == len(HEADINGS)
    assert all(have.startswith(wanted) for have, wanted in zip(found, HEADINGS, strict=True))
    order = ["pulumi stack init", "--until ground", "contract.json\n", "--push", "docs encoder", "--until workloads"]
    order += [
        "services.gateway.key",
        "pointsman submit",
        "pointsman smoke",
        "services.worker.history",
        "pulumi destroy",
    ]
    places = [text.index(word) for word in order]
    assert places == sorted(places)


def test_the_three_pages_take_the_same_steps() -> None:
    """A step that one page forgot is found by the other two."""
    aws, azure, gcp = (ours(cloud) for cloud in CLOUDS)
    assert aws == azure == gcp
    assert len(aws) > 20


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_layer_has_its_stack_made_before_it_is_used(cloud: str) -> None:
    """Pulumi makes a missing stack with a passphrase that nobody has, and stops."""
    made = re.findall(r"pulumi stack init (\S+) .*--cwd infra/stacks/(\w+)", page(cloud))
    assert made == [("prod", cloud), (f"{cloud}-prod", "platform"), (f"{cloud}-prod", "workloads")]
    assert all((STACKS / folder / "Pulumi.yaml").exists() for _, folder in made)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_steps_named_on_a_page_are_deploys_own(cloud: str) -> None:
    named = re.findall(r"--(?:from|until) (\w+)", page(cloud))
    assert named
    assert set(named) <= set(Step)


def reached(name: str) -> bool:
    """Whether the contract has this field; what is under a free key is anybody's."""
    found: Any = Contract
    for word in name.split("."):
        fields = getattr(found, "model_fields", None)
        if fields is None:
            return True
        if word not in fields:
            return False
        found = fields[word].annotation
    return True


@pytest.mark.parametrize("cloud", CLOUDS)
def test_fields_of_the_contract_are_there(cloud: str) -> None:
    """`jq -r .a.b contract.json` of one that is not prints `null`, and the next command takes that for a name."""
    named = FIELD.findall(page(cloud))
    assert named
    assert [name for name in named if not reached(name)] == []
    assert not reached("edge.hostnames")


@cache
def rendered(cloud: str) -> set[tuple[str, str]]:
    folder = ROOT / f"k8s/rendered/{cloud}-prod"
    found = (one for file in folder.glob("*.yaml") for one in yaml.load_all(file.read_bytes(), yaml.CSafeLoader))
    return {(one["kind"], one["metadata"]["name"]) for one in found if "kind" in one}


def named_objects(file: Path) -> Iterator[tuple[str, str]]:
    text = file.read_text("utf-8")
    code = [*commands(text), *SPAN.findall(FENCE.sub("", text))]
    for line in (line for line in code if "kubectl" in line):
        made = set(re.findall(r"create job (\S+)", line)) | {"first", "now"}
        yield from ((KINDS[kind], name) for kind, name in OBJECT.findall(line) if name not in made)


@pytest.mark.parametrize("file", [*(GUIDES / f"deploy-{c}.md" for c in CLOUDS), *RUNBOOKS], ids=lambda file: file.stem)
def test_objects_named_are_rendered(file: Path) -> None:
    """`deploy/gateway`, `cronjob/trainer`: a renamed object leaves no page behind that asks for the old one."""
    for cloud in CLOUDS:
        assert set(named_objects(file)) <= rendered(cloud)


def test_every_runbook_asks_for_something_that_is_there() -> None:
    """The check above looks at real names, not at none."""
    found = {pair for file in RUNBOOKS for pair in named_objects(file)}
    assert {("CronJob", "trainer"), ("InferenceService", "router"), ("ScaledObject", "worker")} <= found


def test_what_a_page_installs_can_start_our_program() -> None:
    """The set of the clouds' SDKs alone has no command line in it: `pointsman` did not start."""
    for cloud in CLOUDS:
        first = commands(page(cloud))[0]
        assert first.startswith("make plan ARGS="), "make installs what our commands need"
        assert COMMAND.search(first)
