"""`pointsman evaluate`: the trainer's own run on one file, judged on another."""

import csv
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.core.history.rows import Row, read_rows
from services.core.kit.errors import InputInvalid
from services.core.text.columns import parse_map, resolve
from services.core.text.records import inspect
from services.trainer.files import Tally, read, read_map
from tests.services.trainer.bundles import as_it_stands, made_up_tickets, small_encoder

FIGURES = {
    "rows", "classes", "accuracy", "macro_f1", "ece", "ece_floor", "auto_rate", "auto_precision", "escalate_rate",
    "train_s", "tickets_per_s", "p50_ms", "p99_ms", "baseline", "curve", "fixed_thresholds", "spread", "runs",
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
    plot = tmp_path / "thresholds.png"
    done = evaluate(
        *("--train", train, "--test", test, "--map", "text=title+mail,label=team", "--seeds", "2"),
        *("--format", "json", "--plot", str(plot)),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report) >= FIGURES
    assert report["rows"] == 61
    assert report["classes"] == 5
    assert report["oos_rows"] == 1
    assert (report["fine_tunings"], report["epochs"]) == (3, 1)
    assert "1 of 3: epoch" in done.stderr  # a line per tenth, where nobody sees a bar
    assert report["oos_not_automatic_at_95_kept"] >= report["oos_recall_at_95_kept"]
    assert 0.8 < report["accuracy"] < 1
    assert report["accuracy"] == round(sum(run["accuracy"] for run in report["runs"]) / 2, 4)
    assert report["runs"][0]["baseline"]["linear_accuracy"] > 0.5
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert report["curve"][-1] == [1.0, pytest.approx(report["accuracy"], abs=1e-3)]
    rates = [point["auto_rate"] for point in report["fixed_thresholds"]["encoder"]]
    assert rates == sorted(rates, reverse=True)
    assert report["fixed_thresholds"]["pooled"][0]["oos_auto_rate"] in (0, 0.5, 1)  # one foreign row, two seeds


def test_a_wrong_mapping_names_the_columns_there_are(tmp_path: Path) -> None:
    """The message is enough to correct the call."""
    train = write(tmp_path / "closed.csv", [("a", "b", "c")])
    missing = evaluate("--train", train, "--test", train, "--map", "text=title+body,label=team")
    assert missing.returncode == 1
    assert "has no column 'body'. It has: title, mail, team." in missing.stderr
    unknown = evaluate("--train", train, "--test", train, "--map", "words=title")
    assert "'words' is not a field. Fields: subject, body, group" in unknown.stderr


def test_where_no_picture_can_be_is_said_before_the_training(tmp_path: Path) -> None:
    train = write(tmp_path / "closed.csv", [("a", "b", "c")])
    for plot in ("nowhere/at/all.png", "thresholds.svg"):
        done = evaluate("--train", train, "--test", train, "--plot", str(tmp_path / plot))
        assert done.returncode == 1
        assert "ends in .png, in a folder that exists" in done.stderr


def test_a_file_is_read_as_an_import_reads_it(tmp_path: Path) -> None:
    """Semicolons, cp1252, capitals, a JSON array: the same rows."""
    csv_file, array = tmp_path / "closed.csv", tmp_path / "closed.json"
    csv_file.write_bytes("Body;Group;Created At\nTür klemmt;Haus;2026-01-05 10:00\nx;;\n".encode("cp1252"))
    array.write_text('[{"Body": "Tür klemmt", "Group": "Haus", "Created At": "05.01.2026 10:00"}, 7]', "utf-8")
    found = [read(file, {}, as_it_stands) for file in (csv_file, array)]
    assert found[0].examples == found[1].examples
    assert found[0].examples[0].facts.opened_at == datetime(2026, 1, 5, 10, tzinfo=UTC)
    assert found[0].left_out == Tally(1, "row 3: no group")
    assert "cp1252" in found[0].remarks()[0]
    assert "1 of 2 rows left out" in found[1].remarks()[0]


def test_what_is_broken_is_said(tmp_path: Path) -> None:
    """A packed file that ends early, a line that is no object."""
    packed = gzip.compress(b"body,group\n" + bytes(range(32, 127)) * 500)
    cut = tmp_path / "closed.csv.gz"
    cut.write_bytes(packed[: len(packed) // 2])
    done = evaluate("--train", str(cut), "--test", str(cut))
    assert done.returncode == 1
    assert "cut off or damaged" in done.stderr
    lines = tmp_path / "closed.jsonl"
    lines.write_text('{"body": "a", "group": "b"}\n7\n{"body":\n', "utf-8")
    assert read(lines, {}, as_it_stands).left_out == Tally(2, "row 2: a JSON int where an object belongs")


@pytest.mark.parametrize(
    "text", ["text=mail,label=team,created_at=", "body=mail,group=team,external_id=title,subject="]
)
def test_an_import_and_an_evaluation_take_one_mapping(text: str, tmp_path: Path) -> None:
    file = Path(write(tmp_path / "closed.csv", [("A title", "vpn down", "Net")]))
    (row,) = read(file, read_map(text), as_it_stands).examples
    found = inspect(file)
    (kept,) = read_rows(found, resolve(found.columns, parse_map(text)))
    assert isinstance(kept, Row)
    assert (row.text, row.group) == ("vpn down", "Net") == (kept.body, kept.group)
    assert kept.subject == ""


def test_a_head_that_is_not_learnt_says_why(tmp_path: Path) -> None:
    """Dates of a country that could be mistaken, a constant priority, no column: one line each."""
    file = tmp_path / "closed.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        names = ("body", "group", "created_at", "solved_at", "priority", "urgency")
        rows = [(row.text, row.group, "01/15/2026", "01/16/2026", "normal", "") for row in made_up_tickets(260)]
        csv.writer(out).writerows([names, *rows])
    done = evaluate("--train", str(file), "--test", str(file), "--seeds", "1")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if ": not learnt, " in line]
    assert [line.partition(":")[0] for line in said] == ["hours", "breach", "priority", "impact", "urgency"]
    count = len(read(file, {}, as_it_stands).examples)
    assert f"{count} of {count} rows have no usable times (first: row 2: created_at is not a time" in said[0]
    assert "no column says it" in said[1]
    assert f"1 different values in {count} rows" in said[2]
    assert f"{count} of {count} rows have no usable value" in said[4]


def test_solved_before_it_was_opened_is_no_time(tmp_path: Path) -> None:
    file = tmp_path / "closed.csv"
    file.write_text("body,group,opened_at,solved_at\na,b,2026-01-05 10:00,2026-01-04 10:00\n", "utf-8")
    assert read(file, {}, as_it_stands).untimed == Tally(1, "row 2: solved before it was opened")


def test_an_array_of_nothing_holds_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "closed.json"
    file.write_text("[]", "utf-8")
    with pytest.raises(InputInvalid, match="holds no rows"):
        read(file, {}, as_it_stands)
