"""What may be configured about training: environment variables POINTSMAN_TRAINER_*, or flags."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.core.kit.settings import PlatformSettings
from services.trainer.config import EncoderChoice, FitConfig, Window


class Torchrun(BaseSettings):
    """What torchrun (or a Kubeflow TrainJob) tells each process that it starts, by its own names."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    world_size: int = 1


class TrainerSettings(PlatformSettings):
    """
    `trainer_epochs` is the one dial. `trainer_budget_s` is a limit: past it fine-tuning ends with what it has learned.

    `database_url` may be absent only when a file is trained on and the bundle goes to a folder.
    """

    database_url: SecretStr = SecretStr("")  # empty: none; __main__ checks it against --data and --out
    trainer_epochs: int | None = Field(default=None, ge=1, description="None: 3 to 5, more for fewer tickets")
    trainer_budget_s: float = Field(default=7_200, gt=0, description="seconds that all of fine-tuning may take")
    trainer_checkpoint_s: float = Field(default=60, ge=0, description="seconds between two checkpoints of fine-tuning")
    trainer_window_days: int = Field(default=90, ge=1, description="days that are learnt from, up to the newest ticket")
    trainer_window_rare_days: int = Field(default=365, ge=1, description="the same for groups with few tickets")
    trainer_threads: int = Field(default=1, ge=1)
    trainer_base_model: str | None = Field(default=None, description="folder or hub name; None: MiniLM-L6 wheel")
    trainer_max_tokens: int = Field(default=128, ge=16, le=512)
    trainer_target_precision: float = Field(default=0.95, gt=0.5, lt=1)
    trainer_work_dir: Path = Path(".pointsman/models")
    trainer_run_dir: Path | None = Field(
        default=None, description="folder of an unfinished run, a volume where machines are taken away; None: work_dir"
    )
    trainer_gates: Path | None = Field(
        default=None, description="TOML with what differs from the gates that are shipped"
    )
    code_version: str = "unknown"

    def fit_config(self, *, encoder: EncoderChoice = "auto") -> FitConfig:
        return FitConfig(
            encoder=encoder,
            heads=encoder != "frozen",
            epochs=self.trainer_epochs,
            limit_s=self.trainer_budget_s,
            threads=self.trainer_threads,
            base_model=self.trainer_base_model,
            max_tokens=self.trainer_max_tokens,
            target_precision=self.trainer_target_precision,
            code_version=self.code_version,
            checkpoint_s=self.trainer_checkpoint_s,
            window=Window(self.trainer_window_days, self.trainer_window_rare_days),
        )
