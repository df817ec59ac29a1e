"""
What can be measured about a question and what was found for it, before anyone decides to answer. Pure.

Each signal alone separates answerable from unanswerable questions with an AUROC of .81 to .88; together .94
(design/adr/0117).
"""

from dataclasses import astuple, dataclass

import numpy as np

from services.core.search.encoder import TextEncoder, Tokens, Vectors
from services.core.search.retrieve import Found

READ_CLOSELY = 3  # evidence compared token by token: each costs an encoder run of some 20 ms
LOW_QUANTILE = 25  # the least matched quarter of the words decides: one missing name changes the question


@dataclass(frozen=True)
class Signals:
    """
    `nearness` is the best cosine of the question in its context, `margin` how far it stands above the rest of what was
    found, `agreement` the fused rank score, `terms` the share of BM25's best possible score, and `coverage` the 25th
    percentile, over the rarer half of the question's tokens, of each one's best match in the evidence (MaxSim).
    """

    nearness: float = 0.0
    margin: float = 0.0
    agreement: float = 0.0
    terms: float = 0.0
    coverage: float = 0.0

    def row(self) -> tuple[float, ...]:
        return astuple(self)


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
    )


def _coverage(question: Tokens, passage: Vectors) -> float:
    """The rarer half by the vocabulary's own order: BERT's word pieces are numbered from frequent to rare."""
    if len(question.ids) == 0 or len(passage) == 0:
        return 0.0
    best = (question.vectors @ passage.T).max(axis=1)
    return float(np.percentile(best[question.ids >= np.median(question.ids)], LOW_QUANTILE))
