"""What the fixed thresholds are worth on labelled data: when two texts are the same, and when a claim is supported."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from services.core.answer.passage import sentences
from services.core.answer.support import is_supported, nearness, words_found
from services.core.search.encoder import TextEncoder

AT = (0.6, 0.7, 0.8, 0.9, 0.92)


def sameness(encoder: TextEncoder, rows: Sequence[tuple[str, str]]) -> list[dict[str, float | int]]:
    """
    For pairs of labelled texts at each cosine: how many are as near, what share of them has one label, and what share
    of the pairs with two labels is as near.
    """
    vectors = encoder.embed([text for text, _ in rows])
    left, right = np.triu_indices(len(rows), 1)  # each pair once
    near = (vectors @ vectors.T)[left, right]
    labels = np.array([label for _, label in rows])
    alike = labels[left] == labels[right]
    return [
        {
            "cosine": at,
            "pairs": int((near >= at).sum()),
            "same_label": _share(alike[near >= at]),
            "of_different": _share((near >= at)[~alike]),
        }
        for at in AT
    ]


def support(
    encoder: TextEncoder, passages: Mapping[str, str], answers: Sequence[tuple[str, frozenset[str]]]
) -> dict[str, Any]:
    """
    Sentences of reference answers against their own passages, and against as many of the nearest that are not theirs:
    what share of each the gate behind a language model lets pass, and how well either signal alone tells them apart.
    """
    names = list(passages)
    vectors = encoder.embed([passages[name] for name in names])
    own: list[tuple[str, list[str]]] = []
    foreign: list[tuple[str, list[str]]] = []
    for answer, gold in answers:
        for sentence in sentences(answer) if gold else ():
            order = np.argsort(-(vectors @ encoder.embed([sentence])[0]))
            nearest = [names[place] for place in order if names[place] not in gold][: len(gold)]
            own.append((sentence, [passages[name] for name in gold]))
            foreign.append((sentence, [passages[name] for name in nearest]))
    return {
        "sentences": len(own),
        "own_pass": _share(np.array([is_supported(encoder, *one) for one in own])),
        "foreign_pass": _share(np.array([is_supported(encoder, *one) for one in foreign])),
        "words_auroc": _auroc(*([words_found(text, "\n".join(of)) for text, of in side] for side in (own, foreign))),
        "nearness_auroc": _auroc(*([nearness(encoder, *one)[0] for one in side] for side in (own, foreign))),
    }


def _share(passed: Any) -> float:
    return round(float(np.mean(passed)), 6) if len(passed) else 0.0


def _auroc(positive: list[float], negative: list[float]) -> float:
    above, below = np.array(positive)[:, None], np.array(negative)[None]
    return round(float((above > below).mean() + 0.5 * (above == below).mean()), 3)
