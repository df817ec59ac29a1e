"""`pointsman render`, as an engineer with a contract and a list of digests calls it."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from k8s.workloads.environment import environment
from k8s.workloads.pods import Rollout
from services.cli.__main__ import app
from services.core.kit.errors import ConfigurationInvalid, InputInvalid
from tests.k8s.conftest import AUTHORITY, Rendered, images

Rollouts = dict[tuple[str, str], Rollout]


@pytest.fixture
def files(rollouts: Rollouts, tmp_path: Path) -> Path:
    (tmp_path / "contract.json").write_text(rollouts["aws", "prod"].contract.model_dump_json())
    (tmp_path / "images.json").write_text(json.dumps(images()))
    (tmp_path / "ca.pem").write_text(AUTHORITY)
    return tmp_path


def test_a_contract_and_digests_are_enough(files: Path, rendered: Rendered) -> None:
    """What is printed is what is checked elsewhere, object by object."""
    command = ["render", "aws", "--contract", str(files / "contract.json"), "--images", str(files / "images.json")]
    done = CliRunner().invoke(app, [*command, "--authority", str(files / "ca.pem")])
    assert done.exit_code == 0, done.output
    assert list(yaml.safe_load_all(done.stdout)) == rendered["aws", "prod"]


def test_what_is_missing_is_said_with_the_way_out(files: Path) -> None:
    """No digests, a list that is none, another cloud's contract."""
    command = ["render", "aws", "--contract", str(files / "contract.json"), "--authority", str(files / "ca.pem")]
    bare = CliRunner().invoke(app, command)
    assert isinstance(bare.exception, ConfigurationInvalid)
    assert "No digest for the images ['gateway', 'rag', 'router', 'trainer', 'worker']" in str(bare.exception)
    (files / "images.json").write_text("[]")
    wrong = CliRunner().invoke(app, [*command, "--images", str(files / "images.json")])
    assert isinstance(wrong.exception, InputInvalid)
    assert "no JSON object of references" in str(wrong.exception)
    other = CliRunner().invoke(app, ["render", "gcp", *command[2:]])
    assert other.exception is not None
    assert "aws" in str(other.exception)


def test_rules_that_a_process_would_refuse_are_refused_before_the_rollout(files: Path) -> None:
    """Else every worker would stand still at its next start."""
    (files / "rules.toml").write_text("poeple = []")
    command = ["render", "aws", "--contract", str(files / "contract.json"), "--images", str(files / "images.json")]
    command += ["--authority", str(files / "ca.pem"), "--rules", str(files / "rules.toml")]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, ConfigurationInvalid)
    assert "poeple" in str(refused.exception)
    (files / "rules.toml").write_text('keep = ["Quillon"]')
    assert 'keep = ["Quillon"]' in CliRunner().invoke(app, command).stdout


def test_small_is_two_files(files: Path, rollouts: Rollouts) -> None:
    """Charts in one; what waits for their kinds stands before the workloads in the other."""
    (files / "small.json").write_text(rollouts["gcp", "small"].contract.model_dump_json())
    command = ["render", "gcp", "--contract", str(files / "small.json"), "--authority", str(files / "ca.pem")]
    charts = list(yaml.safe_load_all(CliRunner().invoke(app, [*command, "--addons"]).stdout))
    assert {one["kind"] for one in charts} == {"Namespace", "HelmChart"}
    done = CliRunner().invoke(app, [*command, "--images", str(files / "images.json")])
    kinds = [one["kind"] for one in yaml.safe_load_all(done.stdout)]
    assert kinds.index("ClusterSecretStore") < kinds.index("Deployment")
    managed = ["render", "aws", "--contract", str(files / "contract.json"), "--addons"]
    assert "infra/stacks/platform" in str(CliRunner().invoke(app, managed).exception)


def test_a_containers_settings_are_read_by_a_shell(files: Path, rollouts: Rollouts, tmp_path: Path) -> None:
    """What the pod is given, for a person on a machine in the network: exactly, whatever characters are in it."""
    contract = str(files / "contract.json")
    done = CliRunner().invoke(app, ["render", "aws", "--contract", contract, "--settings", "migrator"])
    assert done.exit_code == 0, done.output
    (tmp_path / "migrator.env").write_text(done.stdout)
    told = subprocess.run(
        ["sh", "-c", "set -a; . ./migrator.env; env -0"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    read = dict(line.split("=", 1) for line in told.split("\0") if line)
    assert environment(rollouts["aws", "prod"].contract)["migrator"].items() <= read.items()
    wrong = CliRunner().invoke(app, ["render", "aws", "--contract", contract, "--settings", "chat"])
    assert "No container 'chat'" in str(wrong.exception)
