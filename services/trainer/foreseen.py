"""How good the heads beside the group are, on tickets that were not learnt from."""

from collections.abc import Sequence

import numpy as np

from services.core.contracts.prediction import Learned, Outlook
from services.core.models.bundle import RouterModel
from services.core.models.heads import CLASSES
from services.trainer import metrics
from services.trainer.prepare import Example

AT_ONCE = 256


def figures(model: RouterModel, train: Sequence[Example], test: Sequence[Example]) -> dict[str, float]:
    """How good the other heads are, of the targets that both files carry."""
    if not model.heads:
        return {}
    told = _ask(model, test)
    found = {}
    for name in CLASSES:
        words = (getattr(row.targets, name) for row in test)
        found |= _class_figures(name, list(zip(words, (getattr(said, name) for said in told), strict=True)))
    return found | _hours_figures(train, test, told) | _breach_figures(test, told)


def _class_figures(name: str, pairs: list[tuple[str, Learned | None]]) -> dict[str, float]:
    known = [(truth, said) for truth, said in pairs if truth and said is not None]
    if not known:
        return {}
    words = sorted({word for truth, said in known for word in (truth, said.label)})
    truth = np.array([words.index(truth) for truth, _ in known], np.int32)
    guess = np.array([words.index(said.label) for _, said in known], np.int32)
    top, right = np.array([said.probability for _, said in known]), truth == guess
    decided = np.array([said.decides for _, said in known])
    found = {
        f"{name}_accuracy": float(right.mean()),
        f"{name}_macro_f1": metrics.macro_f1(truth, guess),
        f"{name}_ece": metrics.calibration_error(top, right),
        f"{name}_ece_floor": metrics.calibration_floor(top),
        f"{name}_decided": float(decided.mean()),
    }
    return found | ({f"{name}_decided_precision": float(right[decided].mean())} if decided.any() else {})


def _hours_figures(train: Sequence[Example], test: Sequence[Example], told: list[Outlook]) -> dict[str, float]:
    """Mean absolute error beside that of always saying the median of the file that was learnt from."""
    known = [(row.targets.hours, said.hours) for row, said in zip(test, told, strict=True)]
    rows = [(hours, said) for hours, said in known if hours is not None and said is not None]
    if not rows:
        return {}
    truth = np.array([hours for hours, _ in rows])
    median = np.median([row.targets.hours for row in train if row.targets.hours is not None])
    return {
        "sla_mae_h": float(np.abs(truth - [said.middle for _, said in rows]).mean()),
        "sla_mae_median_h": float(np.abs(truth - median).mean()),
        "sla_interval_coverage": float(np.mean([said.low <= hours <= said.high for hours, said in rows])),
    }


def _breach_figures(test: Sequence[Example], told: list[Outlook]) -> dict[str, float]:
    known = [(row.targets.breached, said.breach) for row, said in zip(test, told, strict=True)]
    rows = [(breached, chance) for breached, chance in known if breached is not None and chance is not None]
    if not rows:
        return {}
    return {"breach_auc": metrics.auc(np.array([chance for _, chance in rows]), np.array([was for was, _ in rows]))}


def _ask(model: RouterModel, rows: Sequence[Example]) -> list[Outlook]:
    told: list[Outlook] = []
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        told += model.foresee(model.embed([row.text for row in some]), [row.facts for row in some])
    return told
