"""
What can be measured about a question and what was found for it, before anyone decides to answer. Pure.

Each signal alone separates answerable from unanswerable questions with an AUROC of .81 to .88; together .94
(design/adr/0117).
"""

import re
from dataclasses import dataclass

import numpy as np

from services.core.answer.support import STOP
from services.core.contracts.document import Chunk, Evidence
from services.core.search.documents import embedded_text
from services.core.search.encoder import TextEncoder, Tokens, Vectors
from services.core.search.retrieve import Found, Question

NAMES = ("nearness", "margin", "agreement", "terms", "coverage")  # what a calibration weighs

READ_CLOSELY = 3  # evidence compared token by token: each costs an encoder run of some 20 ms
LOW_QUANTILE = 25  # the least matched quarter of the words decides: one missing name changes the question
KEYWORDS_MAX = 3  # words; a sentence says the same in several of them, of three each counts
# 0x80070643: its pieces resemble those of any code, so it is looked for by its letters. <PERSON_1> is none.
CODE = re.compile(r"(?<![\w<-])(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{6,}", re.IGNORECASE)
PLAIN_WORDS = "a an at be by do i if in is it me my no of on or so to us we"
PLAIN = STOP | frozenset(PLAIN_WORDS.split())


@dataclass(frozen=True)
class Signals:
    """
    `nearness` is the best cosine of the question in its context, `margin` how far it stands above the rest of what was
    found, `agreement` the fused rank score, `terms` the share of BM25's best possible score, and `coverage` the 25th
    percentile, over the rarer half of the question's tokens, of each one's best match in the evidence (MaxSim).

    `least`, for a question of a few keywords that follows nothing: how well its worst matched word is matched. Such
    questions are outside of what the others were calibrated on. 0 for any question with a code that the evidence lacks.
    """

    nearness: float = 0.0
    margin: float = 0.0
    agreement: float = 0.0
    terms: float = 0.0
    coverage: float = 0.0
    least: float = 1.0

    def row(self) -> tuple[float, ...]:
        return tuple(getattr(self, name) for name in NAMES)


def read(encoder: TextEncoder, found: Found) -> Signals:
    """Reads the best evidence closely; nothing found gives signals of zero."""
    if not found.evidence:
        return Signals()
    closest = found.evidence[:READ_CLOSELY]
    question = encoder.tokens(found.question.text)
    passages = [encoder.tokens(evidence.text).vectors for evidence in closest]
    cosines = [evidence.cosine for evidence in found.evidence]
    best = max(cosines[:READ_CLOSELY])
    return Signals(
        nearness=best,
        margin=best - float(np.mean(cosines)),
        agreement=found.evidence[0].score,
        terms=max(found.terms_matched[:READ_CLOSELY]),
        coverage=max(_coverage(question, passage) for passage in passages),
        least=_least(encoder, found.question, question, closest),
    )


def _coverage(question: Tokens, passage: Vectors) -> float:
    """The rarer half by the vocabulary's own order: BERT's word pieces are numbered from frequent to rare."""
    if len(question.ids) == 0 or len(passage) == 0:
        return 0.0
    best = (question.vectors @ passage.T).max(axis=1)
    return float(np.percentile(best[question.ids >= np.median(question.ids)], LOW_QUANTILE))


def _least(encoder: TextEncoder, asked: Question, question: Tokens, closest: tuple[Evidence, ...]) -> float:
    """In the passage where it is best, read with its title and headings: keywords often name what only those say."""
    if not _has_codes(asked.text, closest):
        return 0.0
    words = asked.text.split()
    places = {n for n, word in enumerate(words) if word[0] != "<" and word.strip("?!.,;:").lower() not in PLAIN}
    if asked.previous or len(words) > KEYWORDS_MAX or not places:
        return 1.0
    return max(_worst(asked.text, question, places, encoder.tokens(_as_embedded(one)).vectors) for one in closest)


def _has_codes(text: str, closest: tuple[Evidence, ...]) -> bool:
    there = "\n".join(_as_embedded(one) for one in closest).lower()
    return all(code.lower() in there for code in CODE.findall(text))


def _worst(text: str, question: Tokens, places: set[int], passage: Vectors) -> float:
    """Of the words at `places`: a word is matched as well as its pieces are in the middle."""
    pieces: dict[int, list[float]] = {place: [] for place in places}
    for end, best in zip(question.ends, (question.vectors @ passage.T).max(axis=1), strict=True):
        place = len(text[:end].split()) - 1
        if place in places:
            pieces[place].append(float(best))
    return min((sum(found) / len(found) for found in pieces.values() if found), default=1.0)


def _as_embedded(evidence: Evidence) -> str:
    return embedded_text(evidence.title, Chunk(ordinal=0, text=evidence.text, heading=evidence.heading))
