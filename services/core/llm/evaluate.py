"""
How good the extractive default is, on public tickets: `python -m services.core.llm.evaluate --data DIR [--part test]`.

JIRA's five priorities against ours, Endava's urgency (its names are not published: only "the default level or not" can
be judged), and summaries of JIRA descriptions against their titles by ROUGE-L. Errors are reported by direction.
"""

import argparse
import csv
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.core.contracts.priority import LabelText, PriorityAnswer, PriorityQuestion, SummaryQuestion
from services.core.llm.extractive import priority_by_rules, summary_by_rules
from services.core.llm.lexicon import WORD
from services.core.llm.matrix import LEVELS, ORDER

JIRA_TO_OURS = {"Blocker": "urgent", "Critical": "high", "Major": "normal", "Minor": "low", "Trivial": "low"}
ENDAVA_DEFAULT_URGENCY = "3"  # 88 % of the tickets
SUMMARY_MIN_WORDS = 5  # shorter descriptions have nothing to select from
LABELS = tuple(LabelText(name=name) for name in ORDER)


@dataclass(frozen=True)
class Scores:
    """`pressing` is high or urgent. Shares of all rows, but recalls are shares of the rows with that truth."""

    rows: int
    accuracy: float
    majority: float
    macro_f1: float
    within_one: float
    pressing_recall: float
    pressing_false_alarms: float
    auroc_pressing: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m services.core.llm.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with jira_tickets/ and endava_tickets/")
    parser.add_argument("--part", choices=("train", "test"), default="test")
    options = parser.parse_args(arguments)
    for name, figures in evaluate(options.data, options.part).items():
        sys.stdout.write(f"{name}: {json.dumps(figures)}\n")


def evaluate(data: Path, part: str) -> dict[str, dict[str, float]]:
    """All figures by name, rounded to three digits."""
    jira = [json.loads(line) for line in _lines(data / "jira_tickets" / f"{part}.jsonl.gz")]
    endava = list(csv.DictReader(_lines(data / "endava_tickets" / f"{part}.csv.gz")))
    figures = {
        "jira priority": vars(_score_jira(jira)),
        "endava urgency": _score_endava(endava),
        "jira summary": _score_summaries(jira),
        "speed": _speed(jira),
    }
    return {name: {key: round(value, 3) for key, value in values.items()} for name, values in figures.items()}


def score_priorities(truth: Sequence[str], guess: Sequence[str], pressure: Sequence[float]) -> Scores:
    """`pressure` ranks the tickets by how pressing they look; higher is more."""
    pairs = list(zip(truth, guess, strict=True))
    pressing = [t in ("high", "urgent") for t in truth]
    alarm = [g in ("high", "urgent") for g in guess]
    n = len(pairs)
    return Scores(
        rows=n,
        accuracy=sum(t == g for t, g in pairs) / n,
        majority=Counter(truth).most_common(1)[0][1] / n,
        macro_f1=_macro_f1(pairs),
        within_one=sum(abs(ORDER.index(t) - ORDER.index(g)) <= 1 for t, g in pairs) / n,
        pressing_recall=_share(a for a, p in zip(alarm, pressing, strict=True) if p),
        pressing_false_alarms=_share(a for a, p in zip(alarm, pressing, strict=True) if not p),
        auroc_pressing=auroc(pressing, pressure),
    )


def auroc(positive: Sequence[bool], score: Sequence[float]) -> float:
    """The chance that a positive scores above a negative, ties half; .5 is a coin."""
    order = sorted(set(score))
    rank, below = {}, 0
    counts = Counter(score)
    for value in order:
        rank[value] = below + (counts[value] + 1) / 2
        below += counts[value]
    positives = sum(positive)
    negatives = len(positive) - positives
    if not positives or not negatives:
        return 0.5
    ranks = sum(rank[value] for value, is_positive in zip(score, positive, strict=True) if is_positive)
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def rouge_l(reference: str, candidate: str) -> float:
    """F1 of the longest common subsequence of lower-case words (Lin 2004, https://aclanthology.org/W04-1013)."""
    a, b = WORD.findall(reference.lower()), WORD.findall(candidate.lower())
    row = [0] * (len(b) + 1)
    for word in a:
        previous = 0
        for j, other in enumerate(b, 1):
            kept = row[j]
            row[j] = previous + 1 if word == other else max(row[j], row[j - 1])
            previous = kept
    return 2 * row[-1] / (len(a) + len(b)) if row[-1] else 0.0


def _score_jira(rows: Sequence[dict[str, Any]]) -> Scores:
    answers = [_answer(row["summary"], row["description"]) for row in rows]
    truth = [JIRA_TO_OURS[row["priority"]] for row in rows]
    return score_priorities(truth, [answer.priority for answer in answers], [_pressure(answer) for answer in answers])


def _score_endava(rows: Sequence[dict[str, str]]) -> dict[str, float]:
    answers = [_answer(row["title"], row["body"]) for row in rows]
    default = [row["urgency"] == ENDAVA_DEFAULT_URGENCY for row in rows]
    medium = [answer.urgency == "medium" for answer in answers]
    return {
        "rows": len(rows),
        "default_share": _share(default),
        "urgency_medium": _share(medium),
        "urgency_high": _share(answer.urgency == "high" for answer in answers),
        "auroc_not_default": auroc([not d for d in default], [_pressure(answer) for answer in answers]),
    }


def _score_summaries(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Issue from the description alone, against the title that a person wrote."""
    pairs = [
        (row["summary"], row["description"])
        for row in rows
        if len((row["description"] or "").split()) >= SUMMARY_MIN_WORDS
    ]
    issues = [
        summary_by_rules(SummaryQuestion(ticket_id="x", subject="", body=description)).issue for _, description in pairs
    ]
    words = [
        (word, description) for issue, (_, description) in zip(issues, pairs, strict=True) for word in issue.split()
    ]
    return {
        "rows": len(pairs),
        "rouge_l": sum(rouge_l(title, issue) for (title, _), issue in zip(pairs, issues, strict=True)) / len(pairs),
        "invented_words": _share(word not in text for word, text in words),
    }


def _speed(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    begin = time.process_time()
    for row in rows:
        _answer(row["summary"], row["description"])
    priority_s = time.process_time() - begin
    begin = time.process_time()
    for row in rows:
        comments = tuple(("agent", comment["body"]) for comment in row["comments"])
        summary_by_rules(
            SummaryQuestion(ticket_id="x", subject=row["summary"], body=row["description"] or "", comments=comments)
        )
    summary_s = time.process_time() - begin
    return {"priority_ms": 1000 * priority_s / len(rows), "summary_ms": 1000 * summary_s / len(rows)}


def _answer(subject: str, body: str | None) -> PriorityAnswer:
    return priority_by_rules(PriorityQuestion(ticket_id="x", subject=subject or "", body=body or "", labels=LABELS))


def _pressure(answer: PriorityAnswer) -> float:
    return LEVELS.index(answer.impact) + LEVELS.index(answer.urgency)


def _macro_f1(pairs: Sequence[tuple[str, str]]) -> float:
    def f1(label: str) -> float:
        hits = sum(t == g == label for t, g in pairs)
        return 2 * hits / max(sum(t == label for t, _ in pairs) + sum(g == label for _, g in pairs), 1)

    labels = sorted({t for t, _ in pairs})
    return sum(map(f1, labels)) / len(labels)


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return sum(values) / max(len(values), 1)


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from file


if __name__ == "__main__":
    main()
