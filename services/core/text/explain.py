"""Which rule hid what, at both levels: for people who write rules or doubt one; production asks only for the result."""

from typing import NamedTuple

from services.core.text.own_rules import OwnRules
from services.core.text.recognisers.span import Span
from services.core.text.redact import Redactor, restore
from services.core.text.strict import strict


class Hidden(NamedTuple):
    """`rule`: an own pattern's name, a recogniser, `name model`, or why a name or line goes with others."""

    level: str
    placeholder: str
    value: str
    rule: str


class Explained(NamedTuple):
    """`standard` and `strict` are the texts; `hidden` is in the order of the placeholders."""

    language: str
    standard: str
    strict: str
    hidden: tuple[Hidden, ...]


def explain(redactor: Redactor, rules: OwnRules, text: str, language: str | None = None) -> Explained:
    redacted = redactor.redact(text, language)
    standard = redacted.fields["text"]
    stricter = strict({"text": standard}, redacted.language, rules)
    read = restore(standard, redacted.vault)
    said = redactor.say(read, redacted.language)
    hidden = [
        *(Hidden("standard", place, value, _rule(read, place, value, said)) for place, value in redacted.vault.items()),
        *(Hidden("strict", place, value, "no word that is known") for place, value in stricter.vault.items()),
    ]
    return Explained(redacted.language, standard, stricter.fields["text"], tuple(hidden))


def _rule(text: str, placeholder: str, value: str, said: list[tuple[str, Span]]) -> str:
    kind = placeholder.strip("<>").rpartition("_")[0]
    start = text.find(value)
    found = (
        rule for rule, span in said if span.entity == kind and span.start < start + len(value) and start < span.end
    )
    return next(found, "named or framed by what else was hidden")
