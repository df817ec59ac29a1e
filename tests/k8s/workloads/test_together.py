"""One training on several machines: the objects for it, and their command started as their machines would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from k8s.rules import breaches, pods
from k8s.workloads.objects import objects
from k8s.workloads.pods import Rollout
from k8s.workloads.together import train_together
from services.cli.__main__ import app
from services.core.kit.errors import ConfigurationInvalid
from services.trainer.gates import GATES
from tests.conftest import free_port
from tests.k8s.workloads.test_objects import of
from tests.services.trainer.bundles import made_up_tickets, tiny_encoder
from tests.services.trainer.test_main import write_history

Rollouts = dict[tuple[str, str], Rollout]


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_it_is_the_weekly_jobs_pod_under_torchrun(cloud: str, rollouts: Rollouts) -> None:
    """The same image, settings and walls; no disk that two machines would want; nothing that the rules refuse."""
    rollout = rollouts[cloud, "prod"]
    whole = objects(rollout)
    made = train_together(rollout, 4)
    runtime, job = of(made, "TrainingRuntime", "trainer-together"), of(made, "TrainJob", "trainer-together")
    ((_, _, spec),) = pods([runtime])
    weekly = next(spec for who, _, spec in pods(whole) if who == "CronJob/trainer")
    ours, theirs = spec["containers"][0], weekly["containers"][0]
    assert ours["command"] == ["python", "-m", "torch.distributed.run", *theirs["command"][1:]]
    assert {**ours, "name": "", "command": []} == {**theirs, "name": "", "command": []}
    assert not [one for one in spec["volumes"] if "persistentVolumeClaim" in one]
    assert job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]
    assert job["spec"]["trainer"]["numNodes"] == runtime["spec"]["mlPolicy"]["numNodes"] == 4
    assert list(breaches([*whole, *made])) == []


def test_one_machine_is_no_team(rollouts: Rollouts) -> None:
    with pytest.raises(ConfigurationInvalid, match="kubectl -n pointsman create job now --from=cronjob/trainer"):
        train_together(rollouts["aws", "small"], 2)
    for asked, why in ((("1",), "greater than or equal to 2"), (("3", "--addons"), "Ask for one of")):
        refused = CliRunner().invoke(app, ["render", "aws", "--train-on", *asked])
        assert (refused.exit_code, why in " ".join(refused.stderr.replace("│", " ").split())) == (2, True)


@pytest.mark.slow
def test_two_machines_train_one_model(database: str, tmp_path: Path, rollouts: Rollouts) -> None:
    """Each is started by the rendered command and told by PET_* who it is; the second one's database is never asked."""
    ((_, _, spec),) = pods([of(train_together(rollouts["aws", "prod"], 2), "TrainingRuntime", "trainer-together")])
    write_history(database, made_up_tickets(240, rare=0))
    (tmp_path / "gates.toml").write_text("".join(f"[{name}]\nenabled = false\n" for name in GATES))
    shared = {
        "PET_NNODES": "2",
        "PET_NPROC_PER_NODE": "1",
        "PET_MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
        "POINTSMAN_OBJECTS_URL": f"file://{tmp_path}/objects",
        "POINTSMAN_TRAINER_WORK_DIR": str(tmp_path / "work"),
        "POINTSMAN_TRAINER_GATES": str(tmp_path / "gates.toml"),
        "POINTSMAN_TRAINER_MAX_TOKENS": "32",
        "POINTSMAN_TRAINER_BASE_MODEL": str(tiny_encoder()),
        "POINTSMAN_TRAINER_EPOCHS": "1",
    }
    _, *command = spec["containers"][0]["command"]
    machines = []
    for rank, url in enumerate((database, "postgresql://nobody@127.0.0.1:1/nothing")):
        told = {**os.environ, **shared, "PET_NODE_RANK": str(rank), "POINTSMAN_DATABASE_URL": url}
        out = (tmp_path / f"machine-{rank}").open("w")
        machines.append(subprocess.Popen([sys.executable, *command], env=told, stdout=out, stderr=out))
    try:
        codes = [machine.wait(timeout=200) for machine in machines]
    finally:
        for machine in machines:
            machine.terminate()
    said, other = ((tmp_path / f"machine-{rank}").read_text() for rank in (0, 1))
    assert codes == [0, 0], said[-2000:] + other[-2000:]
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert lines[-1]["promoted"]
    assert "{" not in other  # the first one alone speaks
