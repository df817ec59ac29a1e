"""What a grant must hold to be enough, in each cloud's words: the data of rules IAM-007 to IAM-009 and DEP-003."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

_FILE = Path(__file__).parent / "roles.yaml"


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Acts(_Closed):
    """
    A type that acts under an identity it names, or by its service's own agent (Google): each word it `needs`, and on
    what: a type, `itself`, or `anywhere`; or which rule has `weighed` them. One that acts under none `names` it: why.
    """

    needs: Mapping[str, str] = {}
    weighed: str = ""
    names: str = ""
    when: str = Field("", description="the input without which it does not act")

    @model_validator(mode="after")
    def one_of_them(self) -> Self:
        if bool(self.needs) + bool(self.weighed) + bool(self.names) != 1:
            raise ValueError("say what it `needs`, which rule has `weighed` that, or why it merely `names` an identity")
        return self


class Users(_Closed):
    """A log-in's users: the type that makes one, or who does; `names`: inputs that must say the same of one."""

    made_by: str
    names: tuple[str, ...] = ()

    @property
    def is_type(self) -> bool:
        return ":" in self.made_by


class Roles(_Closed):
    services: Mapping[str, Mapping[str, frozenset[str]]]
    users: Mapping[str, Users] = {}
    identities: tuple[str, ...] = Field(min_length=1, description="types that a grant may be given to")
    acts: Mapping[str, Acts]
    whole: Mapping[str, str] = {}


@cache
def roles(cloud: str) -> Roles:
    return Roles.model_validate(yaml.safe_load(_FILE.read_text("utf-8"))[cloud])


def granting_types(cloud: str) -> frozenset[str]:
    """Types that are a grant by themselves: they name an identity, and act under none."""
    words = (word for verbs in roles(cloud).services.values() for many in verbs.values() for word in many)
    return frozenset(word for word in words if word.count(":") > 1)


def verb_of(access: str) -> str:
    """`bus-publish` -> `publish`; a log-in has no verb of its own."""
    return access.rpartition("-")[2] if "-" in access else "use"


def shortage(cloud: str, access: str, words: frozenset[str]) -> str:
    """What is wrong with `words` (`sns:Publish`, `pubsub:publisher`, an id) as a grant of `access`; empty: nothing."""
    verb, known = verb_of(access), roles(cloud).services
    if unknown := sorted(word for word in words if not _service(word, known)):
        return f"infra/kinds/roles.yaml says nothing of {', '.join(unknown)}: what does `{verb}` need there?"
    for service in sorted({_service(word, known) for word in words}):
        if verb not in known[service]:
            return (
                f"infra/kinds/roles.yaml knows no `{verb}` of {service}; it knows {', '.join(sorted(known[service]))}"
            )
        has = {word.removeprefix(f"{service}:") for word in words}
        if missing := sorted(known[service][verb] - has):
            return f"is too small: `{verb}` of {service} needs {', '.join(missing)} as well"
    return ""


def _service(word: str, known: Mapping[str, Mapping[str, frozenset[str]]]) -> str:
    head = word.partition(":")[0]
    return (
        head if head in known else next((s for s, verbs in known.items() if any(word in v for v in verbs.values())), "")
    )
