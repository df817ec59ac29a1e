"""EQ: three clouds, one platform."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from infra.catalogue import CAPABILITIES, CATALOGUE
from infra.contract import Contract, Part
from infra.grants import GRANTS
from infra.kinds import kinds, unknown_kind
from infra.policies.rules.base import COMPUTED, Breach, Stack, absent, dig, rule


@rule("EQ-001", "every cloud builds the same capabilities")
def same_capabilities(stack: Stack) -> Iterator[Breach]:
    there = {r.capability for r in stack.resources}
    empty = {name for name, is_so in MAY_BE_EMPTY.items() if is_so(stack)}
    empty |= {c.name for c in CATALOGUE if c.only_with and not dig(stack.contract, c.only_with)}
    for c in (c for c in CATALOGUE if stack.contract and c.only_with and c.name in empty & there):
        yield absent(stack, f"Capability {c.name} is built, and the contract says nothing at {c.only_with}")
    for name in sorted(set(CAPABILITIES) - there - empty):
        yield absent(stack, f"Capability {name} builds nothing here")
    for name in sorted(there - set(CAPABILITIES)):
        yield absent(stack, f"Resources outside every capability: {name or 'at the top level'}")


def _own_registry(stack: Stack) -> bool:
    host = str(dig(stack.contract, "registry.url")).split("/")[0]
    return host.endswith((".amazonaws.com", ".azurecr.io", ".pkg.dev"))


# When a stack may go without a capability, where it is not one value of the contract; infra/catalogue.py says why.
MAY_BE_EMPTY: dict[str, Callable[[Stack], bool]] = {
    "backup": lambda stack: stack.is_small,
    "edge": lambda stack: stack.is_small,
    "models": lambda stack: not stack.has_llm,
    "network": lambda stack: not stack.has_own_network,
    "registry": lambda stack: not _own_registry(stack),
}


@rule("EQ-003", "every resource type has a record; what is unknown is not called encrypted or private")
def known_kinds(stack: Stack) -> Iterator[Breach]:
    known = kinds(stack.cloud).all
    yield from ((r.urn, unknown_kind(r.type, stack.cloud)) for r in stack.resources if r.type not in known)


@rule("EQ-004", "what answers for a resource's key, TLS, way in or log-in is planned with it")
def somebody_says_it(stack: Stack) -> Iterator[Breach]:
    """Else the posture would believe of a cache what only its database says, and there would be no database."""
    records, planned = kinds(stack.cloud).services, {r.type for r in stack.resources}
    for r in stack.resources:
        for type_ in records[r.type].answered_by if r.type in records else ():
            if type_ not in planned:
                yield r.urn, f"{type_} says what {r.type} does not, and there is none"


@rule("EQ-002", "the contract is valid")
def valid_contract(stack: Stack) -> Iterator[Breach]:
    if not stack.contract:
        return  # CrossGuard may ask before the stack exports; the offline plan reports it as a problem
    try:
        Contract.model_validate(stack.contract)
    except ValidationError as exc:
        for error in (e for e in exc.errors() if e["input"] != COMPUTED):  # a first preview knows no address
            yield absent(stack, f"contract.{'.'.join(map(str, error['loc']))}: {error['msg']}")
    for path, description in _empty(Contract, stack.contract) if stack.profile == "prod" else ():
        if not excused(description, stack.cloud):
            yield absent(stack, f"contract.{path} is empty in prod: fill it, or say in its `description` when it is")
    yield from (absent(stack, line) for line in _without_users(stack))


def _empty(part: type[Part], raw: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """The texts that hold nothing, as `edge.waf`, each with its field's description."""
    for name, field in part.model_fields.items():
        value, at = raw.get(name, field.default), f"{path}.{name}".lstrip(".")
        if isinstance(field.annotation, type) and issubclass(field.annotation, Part):
            yield from _empty(field.annotation, value, at) if isinstance(value, dict) else ()
        elif value == "" or (value == {} and field.is_required()):
            yield at, field.description or ""


def excused(description: str, cloud: str) -> bool:
    """`AWS: ...` is empty elsewhere; `empty: ...` and `k3s only` are a choice of the settings."""
    of = {"aws": "AWS", "azure": "Azure", "gcp": "GCP"}
    named = [word for word in of.values() if re.search(rf"\b{word}\b[A-Za-z, ]*:", description)]
    is_elsewhere = bool(named) and of[cloud] not in named
    return is_elsewhere or "empty:" in description or "k3s only" in description


def _without_users(stack: Stack) -> Iterator[str]:
    """Who may log in to a thing is told by what name."""
    for c in CATALOGUE:
        users = dig(stack.contract, f"{c.name}.users")
        let_in = sorted(who for who, granted in GRANTS.items() if granted & set(c.gives))
        if isinstance(users, dict) and (missing := [who for who in let_in if who not in users]):
            yield f"contract.{c.name}.users lacks {', '.join(missing)}, who may log in: fill it (infra/blueprint.py)"
