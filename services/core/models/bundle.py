"""A loaded router model: what the router serves and what the trainer judges, the very same code."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.core.contracts.facts import NOTHING_KNOWN, Facts
from services.core.contracts.prediction import Outlook, Prediction, ScoredGroup
from services.core.kit.errors import InputInvalid
from services.core.models.bands import confidence, decide
from services.core.models.encoder import Encoder, load_encoder
from services.core.models.heads import Heads, load_heads, outlooks
from services.core.models.linear import LinearModel, load_linear
from services.core.models.manifest import Manifest, read_manifest
from services.core.models.neighbours import Neighbours, load_neighbours
from services.core.models.pooling import pool

TOP = 3


@dataclass(frozen=True)
class MemberScores:
    """Raw scores by member (B, Q), similarity (B,), embeddings float32 (B, H) with rows of length 1."""

    members: dict[str, NDArray[np.float32]]
    similarity: NDArray[np.float32]
    embeddings: NDArray[np.float32]


@dataclass(frozen=True)
class Inference:
    """One pass: a prediction and an embedding (float32 (B, H), L2-normalised) for each text."""

    predictions: list[Prediction]
    embeddings: NDArray[np.float32]


@dataclass(frozen=True)
class RouterModel:
    manifest: Manifest
    encoder: Encoder
    linear: LinearModel
    neighbours: Neighbours
    heads: Heads

    @property
    def version(self) -> str:
        return self.manifest.model_version

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        return self.infer(texts).predictions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (B, H), rows of length 1."""
        return self.encoder.run(texts)["embedding"]

    def infer(self, texts: Sequence[str], facts: Sequence[Facts | None] = ()) -> Inference:
        """
        Predictions (top three) and embeddings in one pass, with the outlook where the model has heads.

        Args:
            facts: of each text; none at all, or None for one: its outlook is not asked for.
        Raises:
            InputInvalid: an empty batch.
        """
        if not texts:
            raise InputInvalid("The batch holds no text. Send at least one.")
        scores = self.score(texts)
        found = self._conclude(pool(scores.members, self.manifest.pooling), scores)
        if self.heads and any(fact is not None for fact in facts):
            told = self.foresee(scores.embeddings, [fact or NOTHING_KNOWN for fact in facts])
            asked = zip(found, told, facts, strict=True)
            found = [one.model_copy(update={"outlook": its}) if fact else one for one, its, fact in asked]
        return Inference(found, scores.embeddings)

    def foresee(self, embeddings: NDArray[np.float32], facts: Sequence[Facts]) -> list[Outlook]:
        """What the heads say; nothing of a model without."""
        return outlooks(self.heads, self.manifest.heads, facts, embeddings)

    def score(self, texts: Sequence[str]) -> MemberScores:
        """Every member's raw scores: what weights, temperatures and bands are fitted on."""
        encoded = self.encoder.run(texts)
        votes, similarity = self.neighbours.score(encoded["embedding"])
        members = {"linear": self.linear.score(texts), "neighbours": votes}
        if "logits" in encoded:
            members["encoder"] = encoded["logits"]
        return MemberScores(members, similarity, encoded["embedding"])

    def _conclude(self, probabilities: NDArray[np.float32], scores: MemberScores) -> list[Prediction]:
        rules, labels = self.manifest.bands, self.manifest.labels
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
        values, in_scope = confidence(probabilities.max(axis=1), scores.similarity, rules)
        found = []
        for row, columns in enumerate(order):
            top = tuple(ScoredGroup(group=labels[c], probability=_unit(probabilities[row, c])) for c in columns)
            band, reason = decide(top[0].group, float(values[row]), bool(in_scope[row]), rules)
            found.append(
                Prediction(
                    top=top,
                    confidence=_unit(values[row]),
                    similarity=float(np.clip(scores.similarity[row], -1, 1)),
                    band=band,
                    reason=reason,
                    model_version=self.version,
                )
            )
        return found


def load_bundle(folder: Path, *, threads: int = 1) -> RouterModel:
    """
    The model in a bundle folder; `threads` bounds ONNX Runtime and, for the whole process, numpy's BLAS.

    BLAS threads that spin for a product this small cost five times the processor time of the whole answer.

    Raises:
        InputInvalid: names what is missing.
    """
    from threadpoolctl import threadpool_limits

    manifest = read_manifest(folder)
    missing = [name for name in manifest.file_names if not (folder / name).is_file()]
    if missing:
        raise InputInvalid(f"{folder} lacks {', '.join(missing)}. Fetch the bundle again or train a new one.")
    threadpool_limits(threads, user_api="blas")
    return RouterModel(
        manifest,
        load_encoder(folder, max_tokens=manifest.max_tokens, threads=threads),
        load_linear(folder),
        load_neighbours(folder, len(manifest.labels)),
        load_heads(folder, manifest.heads),
    )


def _unit(value: float) -> float:
    return min(1.0, max(0.0, float(value)))
