"""What one wants to know: which end of the assumptions, which commitment, whose prices. Read from a YAML file."""

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cost.usage import Level
from services.core.kit.errors import ConfigurationInvalid


class Commitment(StrEnum):
    NONE = "none"
    ONE_YEAR = "1y"
    THREE_YEARS = "3y"

    @property
    def row(self) -> str | None:
        """The discount row of a price book."""
        return None if self is Commitment.NONE else f"discount.commitment_{self.value}"


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Roi(_Closed):
    """What a ticket costs people, before and after. Shares come from the KPIs page."""

    minutes_per_ticket: Decimal = Field(Decimal(6), gt=0, description="triage, reading up and closing note, by hand")
    minutes_saved_per_ticket: Decimal = Field(Decimal(3), ge=0, description="when the decision was right")
    automation_share: Decimal = Field(Decimal("0.6"), ge=0, le=1, description="tickets decided without a person")
    correction_share: Decimal = Field(Decimal("0.08"), ge=0, le=1, description="automated decisions put right later")
    correction_minutes: Decimal = Field(Decimal(4), ge=0, description="what putting one right takes")
    deflection_share: Decimal = Field(
        Decimal(0),
        ge=0,
        le=1,
        description="chats that end without a ticket; 0 until a company has chats and counts them",
    )
    resolution_minutes: Decimal = Field(Decimal(12), gt=0, description="an agent's time for a deflected question")
    agent_usd_per_hour: Decimal = Field(Decimal(35), gt=0, description="fully loaded")
    run_hours_per_month: Decimal = Field(
        Decimal(8), ge=0, description="an engineer's: upgrades, reviews of training, alarms"
    )
    engineer_usd_per_hour: Decimal = Field(Decimal(80), gt=0, description="fully loaded; also prices a move's days")


class Scenario(_Closed):
    """The default is the expected end of every assumption at list prices, free allowances unused by others."""

    name: str = "list prices, expected use"
    level: Level = Level.EXPECTED
    commitment: Commitment = Commitment.NONE
    free_allowances: bool = True
    own_models: int = Field(0, ge=0, le=8, description="GPU machines that serve a model of your own, all month")
    assumptions: dict[str, Decimal] = Field(default_factory=dict)
    prices: dict[str, dict[str, Decimal]] = Field(default_factory=dict, description="cloud -> price row -> USD")
    roi: Roi = Roi()


def load_scenario(path: Path) -> Scenario:
    """
    A scenario from YAML.

    Raises:
        ConfigurationInvalid: no such file, or a field that does not fit; the message names it.
    """
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as exc:
        raise ConfigurationInvalid(f"Scenario {path} cannot be read: {exc}. See design/cost-model.md.") from exc
    try:
        return Scenario.model_validate(raw)
    except ValidationError as exc:
        facts = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        raise ConfigurationInvalid(f"Scenario {path}: {facts}. See design/cost-model.md.") from exc
