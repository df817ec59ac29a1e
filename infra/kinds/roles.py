"""What a grant must hold to be enough for its access, in each cloud's words: the data of rules IAM-007 and IAM-008."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

_FILE = Path(__file__).parent / "roles.yaml"


class Roles(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    services: Mapping[str, Mapping[str, frozenset[str]]]
    users: Mapping[str, str] = {}


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
