"""What may be configured about training: environment variables POINTSMAN_TRAINER_*, or flags."""

from pathlib import Path

from pydantic import Field, SecretStr

from services.core.kit.settings import PlatformSettings


class TrainerSettings(PlatformSettings):
    """
    `trainer_budget_s` is the one dial: seconds for fine-tuning, from which the number of epochs follows.

    `database_url` may be absent only when a file is trained on and the bundle goes to a folder.
    """

    database_url: SecretStr = SecretStr("")  # empty: none; __main__ checks it against --data and --out
    trainer_budget_s: float | None = Field(default=None, gt=0, description="None: 0.1 s a ticket, 60 to 540 s")
    trainer_threads: int = Field(default=1, ge=1)
    trainer_base_model: str | None = Field(default=None, description="folder or hub name; None: MiniLM-L6 wheel")
    trainer_max_tokens: int = Field(default=128, ge=16, le=512)
    trainer_target_precision: float = Field(default=0.95, gt=0.5, lt=1)
    trainer_work_dir: Path = Path(".pointsman/models")
    trainer_macro_f1_margin: float = Field(default=0.01, ge=0, description="how much worse than the champion may pass")
    trainer_ece_max: float = Field(default=0.05, gt=0, description="calibration error beyond sampling noise")
    code_version: str = "unknown"
