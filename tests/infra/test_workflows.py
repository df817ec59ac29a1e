"""The pipelines: valid by GitHub's schema, no stored secret, no more rights than needed, nothing unsigned deployed."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft7Validator

from infra.offline.plan import CLOUDS
from tests.test_docs import problem_with

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
MAY_WRITE = {"id-token", "pull-requests"}
OURS = re.compile(r"(?:^|[\s;|&/])(make|pointsman) ([^\n|>&;]*)")


def workflow(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text("utf-8"))


def steps(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in found["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_workflow_is_one(file: Path) -> None:
    """By GitHub's own schema; actionlint runs in the pipeline itself."""
    found = yaml.load(file.read_text("utf-8"), Loader=yaml.BaseLoader)  # `on` stays a word
    typed = yaml.safe_load(file.read_text("utf-8"))
    typed["on"] = typed.pop(True)
    assert "jobs" in found
    assert list(Draft7Validator(get_builtin_schema("vendor.github-workflows")).iter_errors(typed)) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_secret_is_stored_and_no_right_is_left_open(file: Path) -> None:
    """Clouds and registries are entered by a token of the job; what a job may write is listed; it ends by itself."""
    found = workflow(file.stem)
    assert "secrets." not in file.read_text("utf-8")
    asked = [found["permissions"], *(job["permissions"] for job in found["jobs"].values() if "permissions" in job)]
    for rights in asked:
        assert {name for name, right in rights.items() if right == "write"} <= MAY_WRITE
    assert all("timeout-minutes" in job for job in found["jobs"].values())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_nothing_that_strangers_write_becomes_a_command(file: Path) -> None:
    """A branch or an input named `$(...)`: scripts take values from their environment only."""
    scripts = "\n".join(step["run"] for step in steps(workflow(file.stem)) if "run" in step)
    assert set(re.findall(r"\$\{\{ *([\w.]+)", scripts)) <= {"matrix.stack"}  # our own words


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_our_commands_in_it_exist(file: Path) -> None:
    """`make ...` and `pointsman ...` with their options."""
    for step in steps(workflow(file.stem)):
        for program, words in OURS.findall(step.get("run", "")):
            plain = re.sub(r'"[^"]*"|-s |-C ', "", words)
            assert problem_with(f"{program} {plain}") is None, step["run"]


def test_a_pull_request_shows_what_it_changes_and_costs() -> None:
    """Also one from a fork, whose token may not comment."""
    job = workflow("test")["jobs"]["plan"]
    script = job["steps"][-2]["run"]
    assert "make -s" in script
    assert "plan ARGS=" in script
    assert "cost ARGS=" in script
    assert "GITHUB_STEP_SUMMARY" in script
    assert "github.event.pull_request.head.repo.full_name == github.repository" in job["steps"][-1]["if"]


def test_images_are_started_listed_scanned_and_signed() -> None:
    """In this order, for three clouds; arm64 cannot be started there."""
    job = workflow("images")["jobs"]["images"]
    assert set(job["strategy"]["matrix"]["cloud"]) == set(CLOUDS)
    text = "\n".join(step.get("run", "") for step in job["steps"])
    order = ["make images", "linux/arm64 --no-start", "manifest push", "cyclonedx-json", "TRIVY", "cosign sign"]
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    assert "--exit-code 1" in text


def test_only_signed_images_are_deployed_and_only_on_approval() -> None:
    """The environment asks for reviewers; images of another repository are refused before anything changes."""
    job = workflow("deploy")["jobs"]["deploy"]
    assert job["environment"] == "${{ inputs.environment }}"
    text = "\n".join(step.get("run", "") for step in job["steps"])
    assert 0 < text.index("cosign verify") < text.index("pointsman deploy")
    assert "kubectl" not in text
    assert "pointsman render" not in text
    assert "images\\.yml@refs/(tags/v|heads/main)" in text


def test_prompts_pass_their_gates_before_the_rollout() -> None:
    """With the models that the environment names; where it names none, nothing is asked."""
    steps = workflow("deploy")["jobs"]["deploy"]["steps"]
    (asks,) = [at for at, step in enumerate(steps) if "pointsman prompts evaluate" in step.get("run", "")]
    assert "continue-on-error" not in steps[asks]
    assert steps[asks]["if"] == "vars.LLM != ''"
    assert steps[asks]["env"] == {"POINTSMAN_LLM": "${{ vars.LLM }}"}
    assert "pointsman deploy" in "".join(step.get("run", "") for step in steps[asks + 1 :])


def test_a_pipeline_rolls_out_with_the_command_of_the_guides() -> None:
    """Two ways to deploy would be two things to trust; the ground is a person's."""
    (line,) = re.findall(
        r"^ *(pointsman deploy .+)$", workflow("deploy")["jobs"]["deploy"]["steps"][-1]["run"], re.MULTILINE
    )
    for cloud in CLOUDS:
        typed = line.replace('"$CLOUD"', cloud).replace('"$STACK"', "prod")
        guide = (ROOT / f"design/guides/deploy-{cloud}.md").read_text("utf-8")
        assert typed.replace(" --images", " --until workloads --images") in guide


def test_no_pipeline_installs_a_set_that_cannot_start_our_program() -> None:
    """`pip install .[infra]` brings the clouds' SDKs and no command line."""
    for file in FILES:
        assert ".[infra]" not in file.read_text("utf-8")
