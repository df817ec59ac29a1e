"""`pointsman evaluate`: the trainer's own run on one file, judged on another."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.services.trainer.bundles import made_up_tickets, small_encoder

FIGURES = {
    "rows", "classes", "accuracy", "macro_f1", "ece", "ece_floor", "auto_rate", "auto_precision", "escalate_rate",
    "train_s", "tickets_per_s", "p50_ms", "p99_ms", "baseline", "spread", "runs",
}  # fmt: skip


def evaluate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.cli", "evaluate", "--epochs", "1", *arguments]
    environment = os.environ | {"POINTSMAN_TRAINER_BASE_MODEL": str(small_encoder()), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)


def write(file: Path, rows: Sequence[tuple[str, str, str]]) -> str:
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("title", "mail", "team"), *rows])
    return str(file)


def test_a_file_is_judged_by_what_another_taught(tmp_path: Path) -> None:
    """Columns are joined, out-of-scope rows have no group, an unknown group is a mistake, seeds are averaged."""
    closed = [("", row.text, row.group) for row in made_up_tickets(260)]
    later = [("", row.text, row.group) for row in made_up_tickets(60, seed=9, rare=0)]
    train = write(tmp_path / "closed.csv", [*closed, *[("", "sing me a song", "oos")] * 5])
    test = write(tmp_path / "later.csv", [*later, ("", "vpn", "Unheard of"), ("", "dance with the penguin", "oos")])
    done = evaluate(
        "--train", train, "--test", test, "--map", "text=title+mail,label=team", "--seeds", "2", "--format", "json"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report) >= FIGURES
    assert report["rows"] == 61
    assert report["classes"] == 5
    assert report["oos_rows"] == 1
    assert 0.8 < report["accuracy"] < 1
    assert report["accuracy"] == round(sum(run["accuracy"] for run in report["runs"]) / 2, 4)
    assert report["runs"][0]["baseline"]["linear_accuracy"] > 0.5


def test_a_wrong_mapping_names_the_columns_there_are(tmp_path: Path) -> None:
    """The message is enough to correct the call."""
    train = write(tmp_path / "closed.csv", [("a", "b", "c")])
    missing = evaluate("--train", train, "--test", train, "--map", "text=title+body,label=team")
    assert missing.returncode == 1
    assert "has no column 'body'. It has: title, mail, team." in missing.stderr
    unknown = evaluate("--train", train, "--test", train, "--map", "words=title")
    assert "FIELD one of text, label, subject" in unknown.stderr
