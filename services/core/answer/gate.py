"""
Whether what was found answers the question: signals -> a calibrated probability -> answer, or a reason not to. Pure.

Weights and thresholds come from labelled questions by `pointsman rag calibrate`, and lie in a file that names where
they come from. A wrong answer costs more than none: thresholds are set on the unanswerable questions.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from services.core.answer import clarify
from services.core.answer.signals import NAMES, Signals
from services.core.contracts.base import Contract
from services.core.kit.errors import ConfigurationInvalid

CALIBRATION_FILE = Path(__file__).with_name("calibration.json")
# A keyword that is matched worse is nowhere in the evidence: chosen on one half of the keyword questions about the
# handbook, judged on the other (design/adr/0230).
MATCHED = 0.52


class Mode(StrEnum):
    """How sure the gate must be. `strict` is for those for whom one wrong answer is one too many."""

    STANDARD = "standard"
    STRICT = "strict"


class Logistic(Contract):
    """A logistic regression over standardised features."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    def probability(self, row: Sequence[float]) -> float:
        return float(self.probabilities(np.array([row]))[0])

    def probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """One per row of (B, features)."""
        logits = (rows - np.array(self.mean)) / np.array(self.scale) @ np.array(self.weights) + self.bias
        return 1 / (1 + np.exp(-logits))


class Calibration(Contract):
    """`answerable` reads the signals, `unclear` what `clarify.features` gives; thresholds are probabilities."""

    answerable: Logistic
    unclear: Logistic
    standard: float
    strict: float
    clarify: float
    questions: int
    source: str

    def probability(self, signals: Signals) -> float:
        """That the evidence answers the question."""
        return self.answerable.probability(signals.row())

    def answers(self, signals: Signals, mode: Mode) -> bool:
        """Whether it is sure enough, and no keyword is passed over."""
        return self.probability(signals) >= self.threshold(mode) and not passes_over(signals)

    def threshold(self, mode: Mode) -> float:
        return self.strict if mode is Mode.STRICT else self.standard


def passes_over(signals: Signals) -> bool:
    """Whether a keyword of the question is nowhere in the evidence: "printer toner", and a page about printers."""
    return signals.least < MATCHED


def read_calibration(path: Path = CALIBRATION_FILE) -> Calibration:
    """
    The calibration in a file.

    Raises:
        ConfigurationInvalid: it is none, or it was made for other signals than this version measures.
    """
    try:
        calibration = Calibration.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValidationError) as exc:
        raise ConfigurationInvalid(f"{path} is no calibration: {exc}. Make one with: pointsman rag calibrate") from exc
    for model, names in ((calibration.answerable, NAMES), (calibration.unclear, clarify.NAMES)):
        if model.names != names or len(model.weights) != len(names):
            raise ConfigurationInvalid(
                f"{path} weighs {', '.join(model.names)}, but this version measures {', '.join(names)}. "
                "Make a new one with: pointsman rag calibrate"
            )
    return calibration


def write_calibration(calibration: Calibration, path: Path) -> None:
    path.write_text(calibration.model_dump_json(indent=2) + "\n", "utf-8")
