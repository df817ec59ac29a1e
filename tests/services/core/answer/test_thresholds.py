"""What the fixed thresholds are worth: measured on labelled data, each text read once."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from obstore.store import LocalStore
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.core.answer.thresholds import Remembered, support
from services.core.search.encoder import TextEncoder, Vectors
from services.trainer.text_encoder import put_encoder

PASSAGES = {
    "vpn": "Open the Harbour client and choose Sign in. The session ends after 10 hours.",
    "printer": "Choose the printer of your floor. A paper jam is cleared from the rear tray.",
    "laptop": "A laptop is replaced after four years. Ask your manager to approve the request.",
}
ANSWERS = [
    ("A session ends after 10 hours.", frozenset({"vpn"})),
    ("A laptop is replaced after four years. Ask your manager to approve it.", frozenset({"laptop"})),
    ("Nobody knows.", frozenset[str]()),
]


class Counting(TextEncoder):
    """The encoder, and how often it has read what."""

    def __init__(self, encoder: TextEncoder) -> None:
        vars(self).update(vars(encoder))
        self.read: Counter[str] = Counter()

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.read.update(texts)
        return super().embed(texts)


def test_support_is_measured_with_each_text_read_once(text_encoder: TextEncoder) -> None:
    """Every sentence against its own passage and the nearest other; it went on for hours, and nobody saw how far."""
    counting, told = Counting(text_encoder), []
    passages = PASSAGES | {f"other {n}": f"Lunch number {n} is soup. It is served at noon." for n in range(100)}
    figures = support(Remembered(counting), passages, ANSWERS, progress=lambda *now: told.append(now))
    assert (figures["sentences"], figures["own_pass"], figures["foreign_pass"]) == (3, 1.0, 0.0)
    assert figures["words_auroc"] == figures["nearness_auroc"] == 1.0
    assert set(counting.read.values()) == {1}
    assert told[:2] == [(0, 103, "Passages"), (64, 103, "Passages")]
    assert {what for _, _, what in told} == {"Passages", "Claims", "Sentences"}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    rows = {
        "corpus": [{"doc_id": name, "text": text} for name, text in PASSAGES.items()],
        "questions": [{"gold_answer": answer, "gold_doc_ids": sorted(gold)} for answer, gold in ANSWERS],
    }
    rows["questions"].append(
        {"gold_answer": "I do not know.", "gold_doc_ids": ["vpn"], "answerability": "UNANSWERABLE"}
    )
    made = {name: tmp_path / f"{name}.jsonl" for name in rows}
    for name, path in made.items():
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows[name]), "utf-8")
    made["labelled"] = tmp_path / "labelled.csv"
    asked = "".join(f"Where is my card?,{n % 2}\nHow do I top up?,{n % 2}\n" for n in range(2, 8))
    made["labelled"].write_text(f"text,label\n{asked}", "utf-8")
    return made


def test_the_command_prints_what_it_measured(database: str, tmp_path: Path, files: dict[str, Path]) -> None:
    """Claims and pairs of questions; no row is left out because another says the same."""
    put_encoder(LocalStore(str(tmp_path)))
    environment = {"POINTSMAN_DATABASE_URL": database, "POINTSMAN_OBJECTS_URL": f"file://{tmp_path}"}
    options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    done = CliRunner().invoke(app, ["rag", "thresholds", *options, "--format", "json"], env=environment)
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["support"]["sentences"] == 3
    assert [row["pairs"] for row in figures["sameness"] if row["cosine"] == 0.92] == [30]
