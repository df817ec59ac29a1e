"""
What each resource type is, said once: where it names its key, its TLS, its way in and its tags, and what it costs.

The rules, the posture and the price list read these records; a type without one is an error, never a silent yes.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.core.kit.errors import ConfigurationInvalid

Question = Literal["key", "tls", "private", "tags"]
QUESTIONS: tuple[Question, ...] = ("key", "tls", "private", "tags")
_HERE = Path(__file__).parent


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class When(_Closed):
    """A claim that only some resources of a type can make, and what the posture says of the others."""

    at: str
    allowed: tuple[Any, ...] = Field(alias="is", min_length=1)
    otherwise: str = Field(min_length=1)


class Claim(_Closed):
    """Where an input stands and what it must be (empty: anything that is set), or why there is none."""

    at: str = ""
    allowed: tuple[Any, ...] = Field((), alias="is")
    profiles: tuple[str, ...] = ("dev", "small", "prod")
    when: When | None = None
    endpoint: str = Field("", description="of a private way in: why it takes no private endpoint of its own (Azure)")
    none: str = ""

    @model_validator(mode="after")
    def one_of_both(self) -> Self:
        if bool(self.at) == bool(self.none):
            raise ValueError("say either `at` (where it stands) or `none` (why there is none)")
        return self

    def holds(self, value: Any) -> bool:
        return value in self.allowed if self.allowed else bool(value)


class Hourly(_Closed):
    """A price that falls due for each resource of the type, hour by hour: a row of cost/prices and the bill's words."""

    row: str = Field(min_length=1)
    item: str = Field(min_length=1)


class Service(_Closed):
    key: Claim
    tls: Claim
    private: Claim
    tags: Claim
    stateful: bool = False
    free: str = Field("", description="why it costs nothing; else `hourly`, or a rule in cost/rules")
    hourly: Hourly | None = None

    def claim(self, question: Question) -> Claim:
        return getattr(self, question)


class Kinds(_Closed):
    services: Mapping[str, Service]
    settings: Mapping[str, str]

    @property
    def all(self) -> frozenset[str]:
        return frozenset({*self.services, *self.settings})

    @property
    def free(self) -> Mapping[str, str]:
        return {**self.settings, **{type_: s.free for type_, s in self.services.items() if s.free}}


@cache
def kinds(cloud: str) -> Kinds:
    """
    The records of one cloud.

    Raises:
        ConfigurationInvalid: a record lacks an answer; the message names file, type and field.
    """
    return read_kinds(_HERE / f"{cloud}.yaml")


def read_kinds(path: Path) -> Kinds:
    try:
        return Kinds.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except ValueError as exc:
        raise ConfigurationInvalid(f"infra/kinds/{path.name}: {exc}") from exc


def unknown_kind(type_: str, cloud: str) -> str:
    """What to say of a type without a record."""
    return (
        f"Nothing is known of {type_}: is it encrypted, private, tagged, and what does it cost? Record it in "
        f"infra/kinds/{cloud}.yaml"
    )
