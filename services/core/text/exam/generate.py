"""
Tickets made of our own templates and made-up values, with every value's place and kind, to measure the redactor on.

More than a quarter of the templates is `unseen`: no rule may be written after looking at them. Values come from Faker
and, where a number has check digits, from generators whose answers python-stdnum accepts. Same seed, same tickets.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Literal, NamedTuple

from services.core.kit.errors import ConfigurationInvalid
from services.core.text.evaluate import LabelledText
from services.core.text.exam.values import LABELS, Values
from services.core.text.recognisers.span import Span

Part = Literal["visible", "unseen"]
LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pl", "pt")
SEED = 20261121
_LONGER_WORD = re.compile(r"[^\W\d_]{4,}")
_SLOT = re.compile(r"\{(\w+)\}")


class Template(NamedTuple):
    name: str
    language: str
    text: str


def templates(part: Part) -> list[Template]:
    """Every template of a part, by language and in the order of its file."""
    folder = files("services.core.text.exam").joinpath(part)
    return [
        Template(name.strip(), language, text.strip())
        for language in LANGUAGES
        for block in folder.joinpath(f"{language}.txt").read_text("utf-8").split("== ")[1:]
        for name, _, text in [block.partition("\n")]
    ]


def exam(part: Part, *, fillings: int, seed: int = SEED) -> Iterator[LabelledText]:
    """
    Every template filled `fillings` times.

    Raises:
        ConfigurationInvalid: Faker is not installed.
    """
    try:
        import faker  # noqa: F401  # only to say what is missing
    except ImportError as exc:
        raise ConfigurationInvalid("Faker is not installed. Install it: pip install faker") from exc
    for template in templates(part):
        values = Values(template.language, f"{seed} {template.name}")
        for number in range(fillings):
            yield _filled(template, values, number)


def lower_cased(text: LabelledText) -> LabelledText:
    """The same ticket as somebody in a hurry types it; offsets stay, so a text whose length changes is left alone."""
    lower = text.text.lower()
    return replace(text, text=lower) if len(lower) == len(text.text) else text


def mistyped(text: LabelledText) -> LabelledText:
    """The same ticket with two letters swapped in every third longer word that is no value; offsets stay."""
    chance = random.Random(text.id)  # noqa: S311  # repeatable, not a secret
    letters, safe = list(text.text), [(span.start, span.end) for span in text.spans]
    for number, word in enumerate(_LONGER_WORD.finditer(text.text)):
        if number % 3 == 0 and not any(start < word.end() and word.start() < end for start, end in safe):
            at = chance.randrange(word.start() + 1, word.end() - 1)
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return replace(text, text="".join(letters))


def _filled(template: Template, values: Values, number: int) -> LabelledText:
    parts, spans, position, length = [], [], 0, 0
    values.start()
    for slot in _SLOT.finditer(template.text):
        before, value = template.text[position : slot.start()], values.make(slot[1])
        start = length + len(before)
        parts += [before, value]
        length, position = start + len(value), slot.end()
        if label := LABELS[slot[1]]:
            spans.append(Span(start, length, label))
    text = "".join([*parts, template.text[position:]])
    return LabelledText(f"{template.name}-{number}", template.language, text, tuple(spans))
