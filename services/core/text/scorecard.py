"""How much the redactor finds, as a page: visible beside unseen templates, by language and kind, and false alarms."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.core.text.evaluate import EntityScore, LabelledText, LanguageScore, evaluate
from services.core.text.exam.generate import LANGUAGES, exam, lower_cased, mistyped
from services.core.text.redact import Redactor

NAMES = ("PERSON", "ORGANIZATION", "LOCATION", "NRP")


@dataclass
class FalseAlarms:
    """Findings in texts that hold (almost) no personal data: an upper bound, since some of them are right."""

    tickets: int = 0
    words: int = 0
    with_a_name: int = 0
    found: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Wrong:
    """Findings that touch no planted value, in tickets as they are and with typos."""

    words: int
    as_written: int
    mistyped: int


@dataclass(frozen=True)
class Scorecard:
    """
    Scores by language, of both parts, as written and in small letters; `alarms` by the name of the set, `wrong` by
    part.
    """

    visible: Mapping[str, LanguageScore]
    unseen: Mapping[str, LanguageScore]
    visible_small: Mapping[str, LanguageScore]
    unseen_small: Mapping[str, LanguageScore]
    alarms: Mapping[str, FalseAlarms]
    wrong: Mapping[str, Wrong]


def measure(redactor: Redactor, technical: Mapping[str, Sequence[str]], *, fillings: int) -> Scorecard:
    """Both parts of the exam, and the technical texts by the name of their set."""
    visible, unseen = (list(exam(part, fillings=fillings)) for part in ("visible", "unseen"))
    return Scorecard(
        evaluate(redactor, visible),
        evaluate(redactor, unseen),
        evaluate(redactor, map(lower_cased, visible)),
        evaluate(redactor, map(lower_cased, unseen)),
        {name: count_alarms(redactor, texts) for name, texts in technical.items()},
        {"visible": count_wrong(redactor, visible), "unseen": count_wrong(redactor, unseen)},
    )


def count_wrong(redactor: Redactor, texts: Sequence[LabelledText]) -> Wrong:
    return Wrong(
        sum(len(text.text.split()) for text in texts),
        sum(_wrong_in(redactor, text) for text in texts),
        sum(_wrong_in(redactor, mistyped(text)) for text in texts),
    )


def _wrong_in(redactor: Redactor, text: LabelledText) -> int:
    found = redactor.find(text.text, text.language)
    return sum(not any(one.start < span.end and span.start < one.end for span in text.spans) for one in found)


def count_alarms(redactor: Redactor, texts: Iterable[str]) -> FalseAlarms:
    alarms = FalseAlarms()
    for text in texts:
        found = Counter(span.entity for span in redactor.find(text))
        alarms.tickets += 1
        alarms.words += len(text.split())
        alarms.found += found
        alarms.with_a_name += any(found[entity] for entity in NAMES)
    return alarms


def page(card: Scorecard, command: str) -> str:
    """The scorecard as Markdown."""
    parts = [
        "# Redaction scorecard",
        f"Written by `{command}`. Do not edit.",
        "Tickets are templates of ours in eight languages, filled with made-up values (`services/core/text/exam/`)."
        " Rules were written looking at answers on the visible templates and never on the unseen ones. Three hands"
        " wrote templates, and each also rules: mail of strangers will score lower. `any`: some of the value is hidden;"
        " `whole`: no letter or digit of it stays; `right`: share of the findings that are of that kind.",
        "## By language",
        _languages(card),
        "## By kind, all languages",
        _kinds(card),
        "## In small letters",
        "The same tickets without a capital letter.",
        _small(card),
        "## False alarms beside the values, and what typos add",
        "Findings that touch no planted value, per 1,000 words; then in the same tickets with two letters swapped in"
        " every third longer word.",
        _table(
            ["part", "words", "as written", "with typos"],
            [
                [part, str(wrong.words), *(f"{1000 * n / wrong.words:.1f}" for n in (wrong.as_written, wrong.mistyped))]
                for part, wrong in card.wrong.items()
            ],
        ),
        "## False alarms on technical tickets",
        "Findings in real technical tickets. Some are right (reporters' names, links), so each"
        " figure is an upper bound. A name is a person, an organisation, a place or an origin.",
        _alarms(card),
    ]
    return "\n\n".join(parts) + "\n"


def _languages(card: Scorecard) -> str:
    head = ["language", "any", "whole", "unseen any", "unseen whole", "right", "unseen right", "ms"]
    rows = []
    for language in LANGUAGES:
        seen, unseen = (_sum(score.entities.values()) for score in (card.visible[language], card.unseen[language]))
        ms = card.visible[language].as_dict()["cpu_ms_per_text"]
        rows.append(
            [language, _any(seen), _whole(seen), _any(unseen), _whole(unseen), _right(seen), _right(unseen), str(ms)]
        )
    seen, unseen = (_sum(_all(scores).values()) for scores in (card.visible, card.unseen))
    rows.append(["all", _any(seen), _whole(seen), _any(unseen), _whole(unseen), _right(seen), _right(unseen), ""])
    return _table(head, rows)


def _kinds(card: Scorecard) -> str:
    seen, unseen = _all(card.visible), _all(card.unseen)
    head = ["kind", "values", "any", "whole", "right", "unseen values", "unseen any", "unseen whole", "unseen right"]
    rows = [
        [entity, *(cell for score in (seen, unseen) for cell in _cells(score.get(entity, EntityScore())))]
        for entity in sorted(seen | unseen)
    ]
    return _table(head, rows)


def _small(card: Scorecard) -> str:
    rows = [
        [name, *(cell for score in pair for cell in (_any(score), _whole(score)))]
        for name, pair in (
            ("PERSON", [_all(part).get("PERSON", EntityScore()) for part in (card.visible_small, card.unseen_small)]),
            ("all kinds", [_sum(_all(part).values()) for part in (card.visible_small, card.unseen_small)]),
        )
    ]
    return _table(["kind", "visible any", "visible whole", "unseen any", "unseen whole"], rows)


def _alarms(card: Scorecard) -> str:
    if not card.alarms:
        return "Not measured: no sets were given (`--data DIR`)."
    rows = []
    for name, alarms in card.alarms.items():
        names = sum(alarms.found[entity] for entity in NAMES)
        rest = alarms.found.total() - names
        rows.append(
            [
                name,
                str(alarms.tickets),
                str(alarms.words),
                f"{alarms.with_a_name / alarms.tickets:.0%}",
                f"{1000 * names / alarms.words:.1f}",
                f"{1000 * rest / alarms.words:.1f}",
            ]
        )
    head = ["set", "tickets", "words", "with a name", "names per 1,000 words", "others per 1,000 words"]
    return _table(head, rows)


def _all(scores: Mapping[str, LanguageScore]) -> dict[str, EntityScore]:
    entities = {entity for score in scores.values() for entity in score.entities}
    return {
        entity: _sum(score.entities[entity] for score in scores.values() if entity in score.entities)
        for entity in entities
    }


def _sum(scores: Iterable[EntityScore]) -> EntityScore:
    total = EntityScore()
    for score in scores:
        for name in vars(total):
            setattr(total, name, getattr(total, name) + getattr(score, name))
    return total


def _cells(score: EntityScore) -> list[str]:
    return [str(score.labelled), _any(score), _whole(score), _right(score)]


def _any(score: EntityScore) -> str:
    return _share(score.found, score.labelled)


def _whole(score: EntityScore) -> str:
    return _share(score.whole, score.labelled)


def _right(score: EntityScore) -> str:
    return _share(score.right, score.predicted)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
