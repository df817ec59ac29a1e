"""
What an operator adds to the redaction: own patterns, names that go, product names that stay, as one TOML file.

A file that cannot be trusted stops the start: an unknown key, a kind that does not exist, an example that its pattern
does not find, a pattern whose time has no bound.
"""

import re
import tomllib
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.core.kit.errors import ConfigurationInvalid
from services.core.kit.settings import read_settings
from services.core.text.bounded import check_bounded
from services.core.text.recognisers.lexicon import words
from services.core.text.recognisers.phrases import Phrases
from services.core.text.recognisers.span import PRECEDENCE, Span

FILE_MAX_BYTES = 4_194_304
PATTERNS_MAX, PHRASES_MAX = 200, 50_000
GUESSED = frozenset(("TITLE", "PERSON", "ORGANIZATION", "LOCATION", "NRP"))
_KINDS = tuple(kind for kind in PRECEDENCE if kind != "OTHER")


def _known(kind: str) -> str:
    if kind not in _KINDS:
        raise ValueError(f"'{kind}' is no kind; one of {', '.join(_KINDS)}")
    return kind


def _worded(phrase: str) -> str:
    if sum(map(str.isalnum, phrase)) < 2 or phrase != phrase.strip() or "\n" in phrase:
        raise ValueError(f"'{phrase}' needs two letters or digits, on one line, without blanks at its ends")
    return phrase


Phrase = Annotated[str, Field(max_length=200), AfterValidator(_worded)]
PhraseList = Annotated[tuple[Phrase, ...], Field(max_length=PHRASES_MAX)]


class OwnPattern(BaseModel):
    """A regular expression; of a group called `value` only that group is hidden. `finds` and `spares` are its tests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=60)
    kind: Annotated[str, AfterValidator(_known)]
    pattern: str = Field(min_length=1, max_length=1_000)
    finds: tuple[str, ...] = Field(min_length=1)
    spares: tuple[str, ...] = ()

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    @model_validator(mode="after")
    def _keeps_its_word(self) -> Self:
        check_bounded(self.pattern)
        for text in self.finds:
            if not any(self.find(text)):
                raise ValueError(f"it does not find its example '{text}'")
        for text in self.spares:
            if any(self.find(text)):
                raise ValueError(f"it finds '{text}', which it should spare")
        return self

    def find(self, text: str) -> Iterator[Span]:
        group = "value" if "value" in self.compiled.groupindex else 0
        for match in self.compiled.finditer(text):
            if match.start(group) < match.end(group):
                yield Span(*match.span(group), self.kind)


class OwnRules(BaseModel):
    """`keep` stays, at both levels; `people`, `organisations` and `places` go, in any case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep: PhraseList = ()
    people: PhraseList = ()
    organisations: PhraseList = ()
    places: PhraseList = ()
    patterns: tuple[OwnPattern, ...] = Field(default=(), max_length=PATTERNS_MAX)

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Self:
        names = [pattern.name for pattern in self.patterns]
        hidden = {phrase.lower() for phrase in (*self.people, *self.organisations, *self.places)}
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two patterns are called {', '.join(sorted(twice))}")
        if both := hidden & {phrase.lower() for phrase in self.keep}:
            raise ValueError(f"to keep and to hide at once: {', '.join(sorted(both)[:5])}")
        return self

    @cached_property
    def kept(self) -> Phrases:
        return Phrases(self.keep)

    @cached_property
    def names(self) -> tuple[tuple[str, Phrases], ...]:
        lists = (("PERSON", self.people), ("ORGANIZATION", self.organisations), ("LOCATION", self.places))
        return tuple((kind, Phrases(phrases)) for kind, phrases in lists if phrases)

    def without_kept(self, text: str, found: list[Span]) -> list[Span]:
        """The findings, of guessed ones only what no kept name covers: a secret never stays."""
        kept = list(self.kept.find(text)) if self.keep else []
        if not kept:
            return found
        sure = [span for span in found if span.entity not in GUESSED]
        return [*sure, *(part for span in found if span.entity in GUESSED for part in _around(span, kept))]


class OwnNames:
    """A recogniser of the operator's lists."""

    def __init__(self, rules: OwnRules) -> None:
        self._names = rules.names

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language
        for kind, phrases in self._names:
            for start, end in phrases.find(text):
                if not is_everyday(text[start:end]):
                    yield Span(start, end, kind)


def is_everyday(word: str) -> bool:
    """In small letters it is rather a word: "may" is nobody though Ms May is on a list."""
    return word.islower() and word in words("not_names")


class OwnPatterns:
    """A recogniser of the operator's patterns."""

    def __init__(self, rules: OwnRules) -> None:
        self._patterns = rules.patterns

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language
        for pattern in self._patterns:
            yield from pattern.find(text)


class RedactionSettings(BaseSettings):
    """Of every container that redacts; not part of its own settings, so that none can forget it."""

    model_config = SettingsConfigDict(env_prefix="POINTSMAN_", frozen=True, extra="ignore", hide_input_in_errors=True)

    redaction_rules: Path | None = None


@cache
def own_rules() -> OwnRules:
    """
    What the operator of this process added; nothing without POINTSMAN_REDACTION_RULES.

    Raises:
        ConfigurationInvalid: as `read_rules`.
    """
    path = read_settings(RedactionSettings).redaction_rules
    return read_rules(path) if path else OwnRules()


def read_rules(path: Path) -> OwnRules:
    """
    The rules of a file.

    Raises:
        ConfigurationInvalid: it is missing, no TOML, or says what cannot be; with file, place and fix.
    """
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            raise ConfigurationInvalid(f"Redaction rules '{path}': over {FILE_MAX_BYTES} bytes. Shorten the lists.")
        return OwnRules.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigurationInvalid(
            f"Redaction rules '{path}' cannot be read: {exc}. See design/guides/redaction.md for the form."
        ) from exc
    except ValidationError as exc:
        raise ConfigurationInvalid(
            f"Redaction rules '{path}': {_explain(exc)}. Mend it, then: pointsman redact try --rules '{path}' TEXT"
        ) from exc


def _explain(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg'].removeprefix('Value error, ')}"
        for one in error.errors()
    )


def _around(span: Span, kept: list[tuple[int, int]]) -> Iterator[Span]:
    """What is left of a finding beside the kept names; nothing when less than a word is."""
    start = span.start
    for kept_start, kept_end in [*kept, (span.end, span.end)]:
        if kept_end <= start and kept_end < span.end:
            continue
        if start < min(kept_start, span.end):
            yield Span(start, min(kept_start, span.end), span.entity, span.certain)
        start = max(start, kept_end)
        if start >= span.end:
            return
