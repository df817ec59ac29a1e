import gzip
from pathlib import Path

import pytest

from services.core.kit.errors import InputInvalid
from services.core.text.evaluate import LanguageScore, evaluate, read_labelled
from services.core.text.redact import Redactor

SPANS = '[{"start": 5, "end": 21, "label": "EMAIL_ADDRESS"}]'
LINE = f'{{"id": 1, "lang": "en", "text": "mail jane@example.com now", "spans": {SPANS}}}\n'
CHECKED = ("EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "US_SSN", "CREDIT_CARD")


def test_a_found_span_counts(redactor: Redactor, tmp_path: Path) -> None:
    """One labelled, one found, one right."""
    path = tmp_path / "labelled.jsonl"
    path.write_text(LINE, "utf-8")
    score = evaluate(redactor, read_labelled(path))["en"].as_dict()
    assert score["any_recall"] == 1.0
    assert score["entities"] == {
        "EMAIL_ADDRESS": {
            "labelled": 1,
            "any_recall": 1.0,
            "recall": 1.0,
            "whole_recall": 1.0,
            "predicted": 1,
            "precision": 1.0,
        }
    }


@pytest.mark.parametrize("content", ["{}", "no json", '{"id": 1, "lang": "en", "text": "x", "spans": [{"start": 0}]}'])
def test_a_malformed_line_is_named(tmp_path: Path, content: str) -> None:
    """The message says which line and what was expected."""
    path = tmp_path / "labelled.jsonl"
    path.write_text(LINE + content + "\n", "utf-8")
    with pytest.raises(InputInvalid, match="line 2"):
        list(read_labelled(path))


def test_a_file_that_is_no_gzip_is_named(tmp_path: Path) -> None:
    """A wrong suffix is a message, not a traceback."""
    path = tmp_path / "labelled.jsonl.gz"
    path.write_text(LINE, "utf-8")
    with pytest.raises(InputInvalid, match="cannot be read"):
        list(read_labelled(path))
    path.write_bytes(gzip.compress(LINE.encode())[:20])
    with pytest.raises(InputInvalid, match="cannot be read"):
        list(read_labelled(path))


@pytest.mark.parametrize("dataset", ["pii_synth", "pii_multi"])
def test_the_scorecard_holds(redactor: Redactor, data_dir: Path, dataset: str) -> None:
    """The goals of ADR 0010 on labelled texts in four languages."""
    for score in evaluate(redactor, read_labelled(data_dir / dataset / "test.jsonl.gz")).values():
        _assert_goals(score)


def _assert_goals(score: LanguageScore) -> None:
    assert score.as_dict()["any_recall"] >= 0.92
    rows = {entity: counts.as_row() for entity, counts in score.entities.items()}
    assert rows["PERSON"]["recall"] >= 0.85
    assert rows["PERSON"]["precision"] >= 0.75
    assert rows["PHONE_NUMBER"]["recall"] >= 0.85
    assert rows["PHONE_NUMBER"]["precision"] >= 0.60
    assert all(rows[entity]["recall"] == 1.0 for entity in CHECKED if entity in rows)
