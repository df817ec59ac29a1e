"""What the fixed thresholds are worth on labelled data: when two texts are the same, and when a claim is supported."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.core.answer.figures import auroc
from services.core.answer.passage import sentences
from services.core.answer.support import Embeds, is_supported, nearness, words_found
from services.core.search.encoder import Vectors

AT = (0.6, 0.7, 0.8, 0.9, 0.92)
AT_ONCE = 64  # texts between two words about the progress

Progress = Callable[[int, int, str], None]  # texts done, texts in all, what they are


@dataclass
class Remembered:
    """
    An encoder that reads each text once. One sentence of a passage is compared with dozens of claims: reading it anew
    each time took hours.
    """

    encoder: Embeds
    _known: dict[str, Vectors] = field(default_factory=dict)

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.learn(texts)
        return np.array([self._known[text] for text in texts])

    def learn(self, texts: Iterable[str], what: str = "", progress: Progress = lambda done, total, what: None) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for begin in range(0, len(new), AT_ONCE):
            progress(begin, len(new), what)
            some = new[begin : begin + AT_ONCE]
            self._known.update(zip(some, self.encoder.embed(some), strict=True))


@dataclass(frozen=True)
class Claimed:
    """A sentence of a reference answer, with its own passages and as many of the nearest that are not."""

    text: str
    own: list[str]
    foreign: list[str]


def sameness(encoder: Embeds, rows: Sequence[tuple[str, str]]) -> list[dict[str, float | int]]:
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
    encoder: Remembered,
    passages: Mapping[str, str],
    answers: Sequence[tuple[str, frozenset[str]]],
    *,
    progress: Progress = lambda done, total, what: None,
) -> dict[str, Any]:
    """
    Sentences of reference answers against their own passages, and against as many of the nearest that are not theirs:
    what share of each the gate behind a language model lets pass, and how well either signal alone tells them apart.
    """
    said = [(sentence, gold) for answer, gold in answers for sentence in (sentences(answer) if gold else ())]
    encoder.learn(passages.values(), "Passages", progress)
    encoder.learn((sentence for sentence, _ in said), "Claims", progress)
    claims = _with_neighbours(encoder, passages, said)
    read = dict.fromkeys(text for claim in claims for text in (*claim.own, *claim.foreign))
    encoder.learn((part for text in read for part in sentences(text)), "Sentences", progress)
    own, foreign = ([(claim.text, of(claim)) for claim in claims] for of in (lambda c: c.own, lambda c: c.foreign))
    return {
        "sentences": len(claims),
        "own_pass": _share(np.array([is_supported(encoder, *one) for one in own])),
        "foreign_pass": _share(np.array([is_supported(encoder, *one) for one in foreign])),
        "words_auroc": auroc(*(np.array([words_found(text, "\n".join(of)) for text, of in s]) for s in (own, foreign))),
        "nearness_auroc": auroc(*(np.array([nearness(encoder, *one)[0] for one in side]) for side in (own, foreign))),
    }


def _with_neighbours(
    encoder: Embeds, passages: Mapping[str, str], said: Sequence[tuple[str, frozenset[str]]]
) -> list[Claimed]:
    names = list(passages)
    near = encoder.embed([text for text, _ in said]) @ encoder.embed([*passages.values()]).T
    claims = []
    for (text, gold), row in zip(said, near, strict=True):
        others = [names[place] for place in np.argsort(-row) if names[place] not in gold][: len(gold)]
        claims.append(Claimed(text, [passages[name] for name in sorted(gold)], [passages[name] for name in others]))
    return claims


def _share(passed: Any) -> float:
    return round(float(np.mean(passed)), 6) if len(passed) else 0.0
