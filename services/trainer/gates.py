"""What a candidate must pass before it may replace the champion. Each gate answers with a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.core.models.bundle import RouterModel
from services.core.models.manifest import Manifest
from services.trainer.export import INT8_LOSS_MAX
from services.trainer.fit import SCORE_BATCH, Fitted
from services.trainer.metrics import macro_f1
from services.trainer.prepare import Example, text_key

COMPARABLE_ROWS_MIN = 50  # fewer fresh rows say nothing about a difference of a point


@dataclass(frozen=True)
class GateConfig:
    macro_f1_margin: float = 0.01
    ece_max: float = 0.05


@dataclass(frozen=True)
class Gate:
    name: str
    passed: bool
    detail: str


def check(fitted: Fitted, config: GateConfig, champion: RouterModel | None, seen: frozenset[int]) -> list[Gate]:
    """
    All gates, passed or not.

    Args:
        champion: the model in service. seen: text keys it was trained on; judging it on those would flatter it.
    """
    gates = [_calibration(fitted.manifest, config), _parity(fitted.manifest), _has_learned(fitted)]
    if champion is not None:
        gates.append(_against_champion(fitted, config, champion, seen))
    return gates


def _calibration(manifest: Manifest, config: GateConfig) -> Gate:
    """Even a perfect router shows about 1/sqrt(n) on n rows: the limit allows for that noise."""
    rows, error = manifest.metrics.get("held_out_rows", 0.0), manifest.metrics.get("ece", 0.0)
    limit = config.ece_max + max(rows, 1.0) ** -0.5
    return Gate("calibration", bool(error <= limit), f"ECE {error:.3f}, limit {limit:.3f} for {rows:.0f} held-out rows")


def _parity(manifest: Manifest) -> Gate:
    lost = manifest.metrics.get("int8_accuracy_lost", 0.0)
    kept_float = manifest.metrics.get("encoder_int8") == 0.0
    how = "the float graph was kept" if kept_float else f"limit {INT8_LOSS_MAX}"
    return Gate("int8 parity", lost <= INT8_LOSS_MAX or kept_float, f"int8 lost {lost:.4f} accuracy, {how}")


def _has_learned(fitted: Fitted) -> Gate:
    groups = [row.group for row in fitted.held_out]
    if not fitted.guesses:
        return Gate(
            "better than always the same group", True, "too few held-out rows to tell; every ticket is reviewed"
        )
    share = max(groups.count(group) for group in set(groups)) / len(groups)
    accuracy = fitted.manifest.metrics["accuracy"]
    return Gate(
        "better than always the same group", bool(accuracy > share), f"accuracy {accuracy:.3f} against {share:.3f}"
    )


def _against_champion(fitted: Fitted, config: GateConfig, champion: RouterModel, seen: frozenset[int]) -> Gate:
    fresh = [i for i, row in enumerate(fitted.held_out) if fitted.guesses and text_key(row.text) not in seen]
    if len(fresh) >= COMPARABLE_ROWS_MIN:
        rows = [fitted.held_out[i] for i in fresh]
        ours = score([fitted.guesses[i] for i in fresh], rows)
        theirs = score(answer(champion, [row.text for row in rows]), rows)
        where = f"on {len(fresh)} held-out tickets neither has seen"
    else:
        ours = fitted.manifest.metrics.get("macro_f1", 0.0)
        theirs = champion.manifest.metrics.get("macro_f1", 0.0)
        where = "each on its own held-out part"
    return Gate(
        "not worse than the champion",
        ours >= theirs - config.macro_f1_margin,
        f"macro-F1 {ours:.3f} against {theirs:.3f} {where}",
    )


def answer(model: RouterModel, texts: Sequence[str]) -> list[str]:
    """The first group for each text."""
    batches = [texts[start : start + SCORE_BATCH] for start in range(0, len(texts), SCORE_BATCH)]
    return [prediction.group for batch in batches for prediction in model.predict(batch)]


def score(guesses: Sequence[str], rows: Sequence[Example]) -> float:
    """Macro-F1 over the groups of `rows`."""
    names = sorted({*guesses, *(row.group for row in rows)})
    index = {name: i for i, name in enumerate(names)}
    truth = np.array([index[row.group] for row in rows], np.int32)
    return macro_f1(truth, np.array([index[guess] for guess in guesses], np.int32))
