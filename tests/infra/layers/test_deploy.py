"""`pointsman deploy`, as an engineer calls it; and its steps, carried out by a runner that notes what it is given."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.layers.deploy import File, Order, Step, Up, Work, deploy, missing, with_pulumi, works
from infra.preflight.local import load_settings
from k8s.workloads.containers import IMAGES
from services.cli.__main__ import app
from services.core.kit.errors import ConfigurationInvalid, InputInvalid, PointsmanError
from tests.k8s.conftest import images

CONFIG = {"pointsman:images": File("images.json", "{}")}


def test_a_dry_run_prints_the_commands_in_order(tmp_path: Path) -> None:
    """What is printed can be typed: one `pulumi up` per layer, the migrator's part before the whole."""
    (tmp_path / "my images.json").write_text(json.dumps(images()))
    command = ["deploy", "aws", "--profile", "prod", "--images", str(tmp_path / "my images.json"), "--dry-run"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("#")] == [f"# {step}" for step in Step]
    told = [line for line in lines if line.startswith(("pulumi up", "pointsman"))]
    assert told[0] == "pulumi up --yes --stack prod --cwd infra/stacks/aws"
    assert told[1] == "pulumi up --yes --stack aws-prod --cwd infra/stacks/platform"
    assert told[2].startswith(
        "pulumi up --yes --stack aws-prod --cwd infra/stacks/workloads --target '**:Namespace::**'"
    )
    assert "'**:Job::**'" in told[2]
    assert told[3] == "pulumi up --yes --stack aws-prod --cwd infra/stacks/workloads"
    assert told[4] == "pointsman smoke aws --profile prod"
    where = "--stack aws-prod --cwd infra/stacks/workloads"
    assert f"pulumi config set pointsman:images {where} < '{tmp_path}/my images.json'" in lines
    assert lines.index(f"pulumi stack select --create {where}") < lines.index(told[2])


@pytest.mark.parametrize(
    ("option", "text", "why"),
    [
        ("--images", "garbage", "no JSON object of references"),
        ("--images", "", "no JSON object of references"),
        ("--images", '{"gateway": "registry.example.com/gateway:latest"}', "No digest for the images"),
        ("--images", '{"gatway": "registry.example.com/gateway@sha256:1"}', "No image of ours is called"),
        ("--llm", "{}", "The model of your own is not described"),
        ("--authority", "garbage", "No certificate as PEM"),
        ("--receiver", "garbage", "The receiver names no way"),
        ("--environment", "worker: {POINTSMAN_SHADWO: true}", "worker reads no variable POINTSMAN_SHADWO"),
        ("--environment", "gateway: {POINTSMAN_ROUTER_URL: x}", "POINTSMAN_ROUTER_URL comes from the stack"),
    ],
)
def test_a_file_is_looked_at_before_anything_is_made(option: str, text: str, why: str, tmp_path: Path) -> None:
    """By its name, whichever step would use it; the ground, which costs money, is not begun."""
    (tmp_path / "given").write_text(text)
    command = ["deploy", "aws", "--profile", "prod", option, str(tmp_path / "given"), "--until", "ground", "--dry-run"]
    with pytest.raises(PointsmanError, match=f"{tmp_path}/given: .*{why}"):
        CliRunner().invoke(app, command, catch_exceptions=False)


def test_a_file_that_no_chosen_step_reads_is_refused(tmp_path: Path) -> None:
    """It would be thought to hold: nothing keeps it for a later run."""
    (tmp_path / "images.json").write_text(json.dumps(images()))
    command = ["deploy", "aws", "--profile", "prod", "--images", str(tmp_path / "images.json"), "--dry-run"]
    with pytest.raises(InputInvalid, match=r"--images is read by workloads, which is not among the steps"):
        CliRunner().invoke(app, [*command, "--until", "ground"], catch_exceptions=False)


def test_clouds_and_stacks_that_there_are_are_named() -> None:
    with pytest.raises(ConfigurationInvalid, match=r"No cloud 'moon'\. Choose one of aws, azure, gcp\."):
        CliRunner().invoke(app, ["deploy", "moon", "--dry-run"], catch_exceptions=False)
    with pytest.raises(ConfigurationInvalid, match=r"does not exist.*Pulumi\.prod\.yaml"):
        CliRunner().invoke(app, ["deploy", "aws", "--profile", "moon", "--dry-run"], catch_exceptions=False)


def test_a_model_of_ones_own_needs_machines(tmp_path: Path) -> None:
    command = ["deploy", "aws", "--profile", "small", "--llm", str(tmp_path / "llm"), "--dry-run"]
    with pytest.raises(InputInvalid, match="aws/small has no GPU machines"):
        CliRunner().invoke(app, command, catch_exceptions=False)


def test_it_goes_on_where_it_stopped() -> None:
    done = CliRunner().invoke(app, ["deploy", "gcp", "--profile", "prod", "--from", "workloads", "--dry-run"])
    assert [line for line in done.stdout.splitlines() if line.startswith("#")] == ["# workloads", "# smoke"]
    with pytest.raises(InputInvalid, match="No step 'roof'"):
        CliRunner().invoke(app, ["deploy", "gcp", "--from", "roof"], catch_exceptions=False)


def test_it_stops_where_it_is_told() -> None:
    """The registry comes with the ground: images are pushed before the rest."""
    command = ["deploy", "gcp", "--profile", "prod", "--dry-run"]
    done = CliRunner().invoke(app, [*command, "--until", "ground"])
    assert [line for line in done.stdout.splitlines() if line.startswith("#")] == ["# ground"]
    with pytest.raises(InputInvalid, match="ground comes before migrate"):
        CliRunner().invoke(app, [*command, "--from", "migrate", "--until", "ground"], catch_exceptions=False)


def test_on_small_the_machine_migrates_by_itself() -> None:
    found = {work.step: work for work in works(Order("azure", "small", is_small=True))}
    assert (found[Step.MIGRATE].up, found[Step.MIGRATE].commands) == (None, ())
    assert "the machine runs the migrator itself" in found[Step.MIGRATE].note


def test_without_pulumi_it_says_so_before_anything_is_done(tmp_path: Path) -> None:
    """As a process with no such program on its path: no traceback, the way out, exit 1."""
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "deploy", "aws", "--profile", "prod"],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1
    assert "The Pulumi CLI is not installed" in said
    assert "--dry-run prints the commands" in said
    assert "Traceback" not in said


def test_a_step_that_fails_says_how_to_go_on() -> None:
    """The steps before it stay done; none after it is begun."""
    order = Order("gcp", "prod", is_small=False, config=CONFIG)
    begun: list[Up] = []

    def run(up: Up) -> None:
        begun.append(up)
        if up.folder == "workloads":
            raise ConfigurationInvalid("No room.")

    done: list[Work] = []
    with pytest.raises(ConfigurationInvalid, match=r"No room\. When that is put right: --from migrate"):
        done.extend(deploy(works(order), run, lambda: None))
    assert [up.folder for up in begun] == ["gcp", "platform", "workloads"]


# A Pulumi that notes what it is asked: the Automation API drives it as it would the real one.
PULUMI = """#!/bin/sh
echo "$PWD $*" >> "$NOTED"
case "$*" in
  *version) echo v3.250.0 ;;
  "--non-interactive up"*) [ -z "$BROKEN" ] || { echo "error: no room on the machines" >&2; exit 255; } ;;
  *"stack output"*|*"config --"*|*"config --json"*) echo '{}' ;;
  *"stack history"*) cat "$HISTORY" ;;
esac
exit 0
"""
TIME = "2026-11-22T00:00:00.000Z"
HISTORY = json.dumps(
    [
        {
            "kind": "update",
            "result": "succeeded",
            "message": "",
            "version": 1,
            "resourceChanges": {},
            "environment": {},
            "config": {},
            "startTime": TIME,
            "endTime": TIME,
        }
    ]
)


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(PULUMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("NOTED", str(tmp_path / "noted"))
    (tmp_path / "history").write_text(HISTORY)
    monkeypatch.setenv("HISTORY", str(tmp_path / "history"))
    return tmp_path / "noted"


def test_pulumis_own_program_is_asked_for_the_stack_its_settings_and_its_targets(pulumi: Path) -> None:
    """Through the Automation API, in the folder of the layer."""
    (migrate,) = [w for w in works(Order("aws", "prod", False, CONFIG)) if w.step is Step.MIGRATE]
    assert migrate.up
    with_pulumi(lambda _: None)(migrate.up)
    noted = pulumi.read_text()
    assert "infra/stacks/workloads --non-interactive stack" in noted
    assert "config set pointsman:images" in noted
    (up,) = [line for line in noted.splitlines() if " up " in line]
    assert "aws-prod" in up
    assert "--target=**:Job::**" in up or "--target **:Job::**" in up


def test_what_a_later_layer_lacks_is_said_before_the_first_is_made(pulumi: Path, tmp_path: Path) -> None:
    """The ground is the part that costs money; a receiver and images of an earlier run are known."""
    with pytest.raises(InputInvalid, match=r"Nobody hears of an alert.*No images are named"):
        CliRunner().invoke(app, ["deploy", "aws", "--profile", "prod"], catch_exceptions=False)
    assert " up " not in (pulumi.read_text() if pulumi.exists() else "")
    settings, order = load_settings("aws", "prod"), Order("aws", "prod", False)
    for layer, kept, left in (("platform", "receiver", ["No images"]), ("workloads", "images", [])):
        (tmp_path / layer).mkdir()
        (tmp_path / layer / "Pulumi.aws-prod.yaml").write_text(f"config: {{'pointsman:{kept}': {{secure: x}}}}")
        said = missing(settings, order, works(order), tmp_path)
        assert [line[:9] for line in said] == left
    assert missing(settings, order, works(order, until=Step.GROUND)) == []
    assert missing(settings, Order("aws", "prod", False, CONFIG), works(order, start=Step.WORKLOADS)) == []
    pinned = {"digests": dict.fromkeys(IMAGES, "sha256:" + "a" * 64)}
    own = settings.model_copy(update={"options": settings.options.model_copy(update=pinned)})
    assert missing(own, order, works(order, start=Step.WORKLOADS)) == []
    dev = load_settings("aws", "dev")
    assert [line[:9] for line in missing(dev, Order("aws", "dev", False), works(order))] == ["No images"]


def test_what_pulumi_refuses_is_said_in_a_line(pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(
        ConfigurationInvalid, match=r"`pulumi up` of platform/aws-prod failed: .*no room on the machines"
    ):
        with_pulumi(lambda _: None)(Up("platform", "aws-prod"))


def test_who_hears_of_alerts_is_a_secret_of_the_platforms_stack(pulumi: Path, tmp_path: Path) -> None:
    """Encrypted in its settings, and no business of the workloads; what Alertmanager would refuse is refused here."""
    (tmp_path / "receiver.yaml").write_text("slack_configs: [{api_url: https://hooks.example.com/a, channel: ops}]")
    command = ["deploy", "aws", "--profile", "prod", "--receiver", str(tmp_path / "receiver.yaml"), "--dry-run"]
    told = CliRunner().invoke(app, command).stdout.splitlines()
    (line,) = [line for line in told if "receiver" in line]
    assert line == (
        "pulumi config set --secret pointsman:receiver --stack aws-prod --cwd infra/stacks/platform "
        f"< {tmp_path}/receiver.yaml"
    )
    order = Order(
        "aws", "prod", False, CONFIG | {"pointsman:receiver": File("r", "webhook_configs: [{url: https://a.b}]")}
    )
    (platform,) = [w for w in works(order) if w.step is Step.PLATFORM]
    assert platform.up
    with_pulumi(lambda _: None)(platform.up)
    assert [
        line
        for line in pulumi.read_text().splitlines()
        if "config set pointsman:receiver" in line and "--secret" in line
    ]
    with pytest.raises(InputInvalid, match="`small` has no Alertmanager"):
        CliRunner().invoke(app, ["small" if word == "prod" else word for word in command], catch_exceptions=False)
    (tmp_path / "receiver.yaml").write_text("slak_configs: [{}]")
    with pytest.raises(ConfigurationInvalid, match="Alertmanager has no 'slak_configs'"):
        CliRunner().invoke(app, command, catch_exceptions=False)
