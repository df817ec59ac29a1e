"""
What each resource type is, said once: where it names its key, its TLS, its way in and its tags, and what it costs.

The rules, the posture and the price list read these records; a type without one is an error, never a silent yes.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.core.kit.errors import ConfigurationInvalid

Question = Literal["key", "tls", "private", "login", "tags"]
QUESTIONS: tuple[Question, ...] = ("key", "tls", "private", "login", "tags")
_HERE = Path(__file__).parent


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class When(_Closed):
    """A claim that only some resources of a type can make, and what the posture says of the others (null: nothing)."""

    at: str
    allowed: tuple[Any, ...] = Field(alias="is", min_length=1)
    otherwise: str | None = Field(min_length=1)


class Way(_Closed):
    """
    How our network reaches what a service keeps in its own (Google): the type that must stand before it and, where one
    of these serves one kind of service or lands in a subnet, what it says (`where`); or why it needs none.
    """

    through: str = ""
    at: str = Field(
        "", description="the input that names our network, or the connection: without it nothing leads there"
    )
    where: Mapping[str, str | None] = Field({}, description="what that type says; null: anything that is set")
    none: str = ""

    @model_validator(mode="after")
    def one_of_both(self) -> Self:
        if bool(self.through) == bool(self.none) or bool(self.through) != bool(self.at):
            raise ValueError(
                "say `through` (the type that leads there) and `at` (the input that names it), or `none` (why not)"
            )
        return self


class Link(_Closed):
    """
    A service's names inside our network (Azure): the zone in which its public name means its private address, and the
    part of it that a private endpoint leads to; none, where it stands in a subnet of ours itself.
    """

    zone: str = Field(min_length=1)
    part: str = ""


class Claim(_Closed):
    """
    Where an input stands and what it must be (empty: anything that is set), or why there is none, or which other type
    `says` it. `also`: switches beside it that would undo it, each with what it must be.
    """

    at: str = ""
    allowed: tuple[Any, ...] = Field((), alias="is")
    also: Mapping[str, tuple[Any, ...]] = {}
    profiles: tuple[str, ...] = ("dev", "small", "prod")
    when: When | None = None
    endpoint: str = Field("", description="of a private way in: why it takes no private endpoint of its own (Azure)")
    link: Link | None = Field(None, description="of a private way in: asked of what stands behind an endpoint (Azure)")
    none: str = ""
    says: str = Field("", description="the type whose record answers; it must be planned wherever this one is")

    @model_validator(mode="after")
    def one_of_them(self) -> Self:
        if bool(self.at) + bool(self.none) + bool(self.says) != 1:
            raise ValueError(
                "say one of `at` (where it stands), `none` (why there is none), `says` (the type that says)"
            )
        if self.none.startswith("its ") and self.none.endswith(" says"):
            raise ValueError(f"`none: {self.none}` is believed by everybody: name the type as `says`")
        return self

    @property
    def inputs(self) -> tuple[tuple[str, tuple[Any, ...]], ...]:
        return ((self.at, self.allowed), *self.also.items()) if self.at else ()


class If(_Closed):
    """An input that is set, or is one of these."""

    at: str
    allowed: tuple[Any, ...] = Field((), alias="is")


class Must(_Closed):
    """
    What a type cannot do without: an input (`a.*.b`: of each item; `a[b=c].d`: of each item whose b is c, of which
    there is one), what it must be (empty: anything that is set), and what comes of leaving it out.
    """

    at: str
    allowed: tuple[Any, ...] = Field((), alias="is")
    when: If | None = None
    why: str = Field(min_length=1)


class Hourly(_Closed):
    """A price that falls due for each resource of the type, hour by hour: a row of cost/prices and the bill's words."""

    row: str = Field(min_length=1)
    item: str = Field(min_length=1)
    times: Mapping[str, Literal["n", "n+1", "1"]] = Field(
        {}, description="inputs that say how many it is: so many, so many beside the first, or it costs no more"
    )


class Growth(_Closed):
    """What its cloud makes larger by itself: the input with the size, and the one that allows it."""

    at: str = Field(min_length=1)
    by: str = Field(min_length=1)
    allowed: tuple[Any, ...] = Field((), alias="is", description="none: anything that is set")


class Service(_Closed):
    key: Claim
    tls: Claim
    private: Claim
    login: Claim
    tags: Claim
    unasked: Mapping[str, str] = Field({}, description="switch -> why no claim asks for it (infra/offline/switches.py)")
    way: Way | None = Field(None, description="asked of each type that lives in Google's own network")
    stateful: bool = False
    kept: tuple[str, ...] = Field((), description="switches by which its cloud refuses to delete it; on but in dev")
    grows: Growth | None = None
    audit: str = Field("", description="Google: the service whose log of who read what it is, if not its API's")
    unlogged: Mapping[str, str] = Field({}, description="`*` or profile -> why nobody writes down who opened it")
    free: str = Field("", description="why it costs nothing; else `hourly`, or a rule in cost/rules")
    hourly: Hourly | None = None

    def claim(self, question: Question) -> Claim:
        return getattr(self, question)

    @property
    def answered_by(self) -> tuple[str, ...]:
        """Types that say what this one does not."""
        said = (self.claim(question).says for question in QUESTIONS)
        return tuple(dict.fromkeys(type_ for type_ in said if type_))

    @property
    def asked(self) -> tuple[tuple[str, tuple[Any, ...]], ...]:
        return tuple(one for question in QUESTIONS for one in self.claim(question).inputs)


class Kinds(_Closed):
    """
    `answers_for` is the account's word for the part of a cloud that a module of types belongs to: an API of Google, a
    resource provider of Azure. It must be switched on; `also_on` names those that no type belongs to, and why.
    `must` is asked of any type; `used_by` says of one that is made in vain unless those name it.
    """

    services: Mapping[str, Service]
    settings: Mapping[str, str]
    answers_for: Mapping[str, str] = {}
    also_on: Mapping[str, str] = {}
    must: Mapping[str, tuple[Must, ...]] = {}
    used_by: Mapping[str, tuple[str, ...]] = Field(
        {}, description="each of these must name it; `a | b`: one of the two"
    )

    @model_validator(mode="before")
    @classmethod
    def through_their_doors(cls, raw: Any) -> Any:
        """What several types answer alike is said once, under `doors`; a record's own answer stands before it."""
        doors = raw.get("doors", {})
        services = {type_: _through(doors, type_, record) for type_, record in raw["services"].items()}
        return {key: value for key, value in raw.items() if key != "doors"} | {"services": services}

    @model_validator(mode="after")
    def somebody_answers_for_each(self) -> Self:
        modules = (
            {module_of(type_) for type_ in self.all if not type_.startswith("pulumi")} if self.answers_for else set()
        )
        if missing := sorted(modules - set(self.answers_for)):
            raise ValueError(f"answers_for lacks {', '.join(missing)}: what must be switched on before a type of it?")
        return self

    @model_validator(mode="after")
    def who_must_is_recorded(self) -> Self:
        spoken = {
            *self.must,
            *self.used_by,
            *(t for those in self.used_by.values() for these in those for t in these.split(" | ")),
        }
        if unknown := sorted(spoken - self.all):
            raise ValueError(f"must, used_by: {', '.join(unknown)} has no record among services and settings")
        return self

    @model_validator(mode="after")
    def a_zone_is_of_one_type(self) -> Self:
        links = {type_: s.private.link for type_, s in self.services.items() if s.private.link}
        for type_, link in links.items():
            for other in (t for t, one in links.items() if t < type_ and one.zone == link.zone):
                raise ValueError(f"{type_}.private.link: {link.zone} is {other}'s zone; a zone is of one service")
        return self

    @model_validator(mode="after")
    def who_says_is_recorded(self) -> Self:
        for type_, service in self.services.items():
            if unknown := sorted(set(service.answered_by) - set(self.services)):
                raise ValueError(f"{type_}: {', '.join(unknown)} should say it, and has no record among the services")
        return self

    def api_of(self, type_: str) -> str:
        """Google's word for who answers for a type; one of a module that nobody entered is taken for its API's."""
        return self.answers_for.get(module_of(type_), module_of(type_))

    @property
    def switched_on(self) -> tuple[str, ...]:
        """APIs or resource providers that the types of the records need, and the others."""
        return tuple(sorted({*self.answers_for.values(), *self.also_on} - {""}))

    @property
    def all(self) -> frozenset[str]:
        return frozenset({*self.services, *self.settings})

    @property
    def free(self) -> Mapping[str, str]:
        return {**self.settings, **{type_: s.free for type_, s in self.services.items() if s.free}}


def module_of(type_: str) -> str:
    """`gcp:pubsub/topic:Topic` -> `pubsub`."""
    return type_.split(":")[1].split("/")[0]


def _through(doors: Any, type_: str, record: Any) -> Any:
    name = record.get("door")
    if name is None:
        return record
    if name not in doors:
        raise ValueError(f"{type_}.door: there is no {name!r}; known are {', '.join(sorted(doors))}")
    return {**doors[name], **{key: value for key, value in record.items() if key != "door"}}


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
    except ValidationError as exc:
        said = "; ".join(map(_in_words, exc.errors(include_input=False, include_url=False)))
        raise ConfigurationInvalid(f"infra/kinds/{path.name}: {said}") from exc
    except ValueError as exc:
        raise ConfigurationInvalid(f"infra/kinds/{path.name}: {exc}") from exc


def _in_words(error: Any) -> str:
    """Where, and what; what holds between several records has no place of its own."""
    return ": ".join([*filter(None, [".".join(map(str, error["loc"]))]), error["msg"].removeprefix("Value error, ")])


def keepers(cloud: str) -> tuple[str, ...]:
    """The parts of a cloud (`answers_for`) that keep something under our key: each has an agent that must be let in."""
    known = kinds(cloud)
    return tuple(sorted({known.api_of(type_) for type_, s in known.services.items() if s.key.at}))


def unknown_kind(type_: str, cloud: str) -> str:
    """What to say of a type without a record."""
    return (
        f"Nothing is known of {type_}: is it encrypted, private, tagged, and what does it cost? Record it in "
        f"infra/kinds/{cloud}.yaml"
    )
