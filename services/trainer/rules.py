"""The gates' values: what is shipped (gates.toml), and what an operator's own file changes of it."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.core.kit.errors import ConfigurationInvalid

SHIPPED = Path(__file__).with_name("gates.toml")


class Rule(BaseModel):
    """One gate's values; an unknown one is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    enabled: bool


class MacroF1(Rule):
    floor: float = Field(ge=0, le=1)


class GroupRecall(MacroF1):
    rows_min: int = Field(ge=1)
    alpha: float = Field(gt=0, lt=1)


class Champion(Rule):
    margin: float = Field(ge=0, le=1)
    alpha: float = Field(gt=0, lt=1)
    margin_max: float = Field(ge=0, le=1)
    rows_min: int = Field(ge=1)


class Calibration(Rule):
    ece_max: float = Field(gt=0, le=1)


class Parity(Rule):
    lost_max: float = Field(ge=0, le=1)


class Latency(Rule):
    p50_ms_max: float = Field(gt=0)


class OutOfScope(Rule):
    stopped_min: float = Field(ge=0, le=1)
    rows_min: int = Field(ge=1)


class GateRules(BaseModel):
    """All gates there are, each with all of its values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    better_than_majority: Rule
    macro_f1: MacroF1
    group_recall: GroupRecall
    champion: Champion
    calibration: Calibration
    int8_parity: Parity
    latency: Latency
    out_of_scope: OutOfScope


def read_rules(own: Path | None = None) -> GateRules:
    """
    The shipped gates, changed by the operator's file.

    Raises:
        ConfigurationInvalid: it cannot be read, or names a gate or a value that does not exist.
    """
    values = tomllib.loads(SHIPPED.read_text("utf-8"))
    for gate, changed in (_read(own) if own else {}).items():
        if gate not in values or not isinstance(changed, dict):
            raise ConfigurationInvalid(f"{own}: there is no gate [{gate}]. There are: {', '.join(values)}.")
        values[gate] |= changed
    try:
        return GateRules.model_validate(values)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigurationInvalid(f"{own}: {where}: {first['msg']}. What is shipped: {SHIPPED}") from exc


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigurationInvalid(f"Gates cannot be read from {path}: {exc}. It must be TOML.") from exc
