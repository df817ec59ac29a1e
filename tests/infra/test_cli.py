"""`pointsman plan`, `preflight` and `smoke` as typed: output, exit codes, and what they do not import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.blueprint import CAPABILITIES
from services.cli.__main__ import app
from services.core.kit.errors import ConfigurationInvalid, InputInvalid
from tests.planned import Plans


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_json_is_the_shape_the_cost_model_reads() -> None:
    """Stacks with resources, contract, findings and problems; parity with a row per capability."""
    result = run("plan", "gcp", "--profile", "small", "--format", "json")
    report = json.loads(result.stdout)
    (stack,) = report["stacks"]
    assert result.exit_code == 0
    assert set(stack) == {"cloud", "profile", "seconds", "resources", "contract", "findings", "problems"}
    assert set(stack["resources"][0]) == {
        "urn",
        "type",
        "name",
        "capability",
        "parent",
        "inputs",
        "protect",
        "ignores",
        "depends_on",
    }
    assert [row["capability"] for row in report["parity"]] == list(CAPABILITIES)
    assert [(row["layer"], row["problems"], row["findings"]) for row in report["layers"]] == [
        ("platform", [], []),
        ("workloads", [], []),
    ]
    assert report["nodes"][0]["asked_mib"] < report["nodes"][0]["have_mib"]


@pytest.mark.parametrize(("style", "mark"), [("table", "posture  "), ("markdown", "| posture | gcp |")])
def test_people_get_parity_posture_contract_and_the_limits(style: str, mark: str) -> None:
    """Both layouts name every capability and say what a plan cannot see."""
    result = run("plan", "gcp", "--profile", "small", "--format", style)
    assert mark in result.stdout
    assert all(name in result.stdout for name in CAPABILITIES)
    assert "pods share the node's identity" in " ".join(result.stdout.split())
    assert "It cannot see a provider's own checks" in result.stdout
    flat = " ".join(result.stdout.split())
    assert all(word in flat for word in ("layer platform", "layer workloads", "addons.yaml", "requests, MiB", "left"))


def test_a_plan_is_priced_at_what_its_profile_is_meant_for() -> None:
    """`prod` at 1,000 tickets would be a price that nobody pays."""
    assert "at 24,000 tickets" in run("plan", "gcp", "--profile", "prod").output
    assert "at 1,000 tickets" in run("plan", "gcp", "--profile", "small").output


def test_price_of_small_stands_in_the_plan() -> None:
    """Finance and engineers look at one table: a total in dollars, with its volume beside it."""
    result = run("plan", "gcp", "--profile", "small", "--tickets", "1000")
    line = next(line for line in result.stdout.splitlines() if line.startswith("total"))
    usd = float(line.split()[1])
    assert 0 < usd <= 50
    assert "at 1,000 tickets" in line


def test_unknown_profile_is_an_error_with_the_list() -> None:
    """The error names the stacks there are."""
    result = run("plan", "aws", "--profile", "stage")
    assert result.exit_code == 1
    assert isinstance(result.exception, ConfigurationInvalid)
    assert "aws/Pulumi.dev.yaml" in result.exception.message


def test_commands_import_no_pulumi() -> None:
    """`pointsman --help` starts fast: the SDKs are imported by the plan alone."""
    program = (
        "import sys, services.cli.plan, services.cli.smoke, services.cli.preflight; print('pulumi' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_smoke_refuses_a_contract_of_another_cloud(plans: Plans, tmp_path: Path) -> None:
    """Nothing is asked of any cloud before the contract fits."""
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(plans["gcp", "dev"].contract))
    result = run("smoke", "aws", "--contract", str(path))
    assert isinstance(result.exception, ConfigurationInvalid)
    assert result.exception.message == "The contract is of gcp, not of aws: name gcp instead, or its contract"


def test_smoke_refuses_what_is_no_contract(tmp_path: Path) -> None:
    """The command that writes one is part of the answer."""
    path = tmp_path / "contract.json"
    path.write_text("{}")
    result = run("smoke", "aws", "--contract", str(path))
    assert isinstance(result.exception, ConfigurationInvalid)
    assert "pulumi stack output contract --json" in result.exception.message


def test_preflight_that_cannot_ask_is_no_success(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without credentials every question to the cloud is unknown, and the exit code says so."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    result = run("preflight", "aws", "--profile", "small", "--format", "json")
    verdicts = {row["name"]: row["verdict"] for row in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert verdicts["signed in"] == "unknown"


def test_smoke_names_the_contract_that_is_not_there(tmp_path: Path) -> None:
    """A wrong path is a sentence, not a traceback."""
    result = run("smoke", "aws", "--contract", str(tmp_path / "none.json"))
    assert isinstance(result.exception, InputInvalid)
    assert "none.json cannot be read" in result.exception.message
