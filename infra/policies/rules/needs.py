"""
REF-006 to REF-008: what a type cannot do without is said, what is made is used (data of infra/kinds), names lead on.

Types and SDKs allow all of it: a cloud refuses it halfway through `up`, or takes it and leaves something open.
"""

import re
from collections.abc import Iterator
from typing import Any

from infra.kinds import If, kinds
from infra.offline.report import Resource
from infra.policies.rules.base import COMPUTED, Breach, Stack, absent, dig, rule

_CHOSEN = re.compile(r"(\w+)\[(\w+)=(.+)\]")


@rule("REF-006", "nothing is left out that its cloud refuses, or takes and leaves open")
def nothing_is_left_out(stack: Stack) -> Iterator[Breach]:
    for type_, asked in kinds(stack.cloud).must.items():
        for r in stack.of(type_):
            for one in (o for o in asked if o.when is None or holds(o.when, r.inputs)):
                for value in values_at(r.inputs, one.at):
                    if value != COMPUTED and not (value in one.allowed if one.allowed else value):
                        yield r.urn, f"{one.why} ({one.at} is {value!r})"


@rule("REF-007", "what is made is used by somebody")
def nothing_is_in_vain(stack: Stack) -> Iterator[Breach]:
    for type_, users in kinds(stack.cloud).used_by.items():
        for these in users:
            named = {urn for r in stack.of(*these.split(" | ")) for urn in r.depends_on}
            for r in (r for r in stack.of(type_) if r.urn not in named):
                yield r.urn, f"Made in vain: no {these} names it"


@rule("REF-008", "the names that the contract gives out stand in its zone")
def names_are_known(stack: Stack) -> Iterator[Breach]:
    zone, edge = dig(stack.contract, "edge.zone"), dig(stack.contract, "edge") or {}
    if not zone or zone == COMPUTED:
        return
    there = {_name_of(r, str(zone)) for r in stack.of(*_RECORDS)}
    for field in ("hostname", "origin_host", "chat_hostname"):
        name = edge.get(field)
        if name and name != COMPUTED and name not in there and COMPUTED not in there:
            yield absent(stack, f"edge.{field} is {name}, and no record of the zone says where that is")


_RECORDS = ("aws:route53/record:Record", "azure-native:dns:RecordSet", "gcp:dns/recordSet:RecordSet")


def _name_of(record: Resource, zone: str) -> str:
    """Azure's are relative to the zone, by the last word of its id."""
    relative = record.inputs.get("relativeRecordSetName")
    if relative is None:
        return str(record.inputs.get("name")).rstrip(".")
    return zone.rpartition("/")[2] if relative == "@" else f"{relative}.{zone.rpartition('/')[2]}"


def values_at(value: Any, path: str) -> list[Any]:
    """All that stands at a path; where a list is empty or the path ends early, None."""
    return _at(value, path.split(".")) or [None]


def _at(value: Any, steps: list[str]) -> list[Any]:
    if not steps or value == COMPUTED:
        return [value]
    head, *rest = steps
    if head == "*":
        return [found for item in value or [] for found in _at(item, rest)]
    if isinstance(value, list) and head.isdigit():
        return _at(value[int(head)], rest) if int(head) < len(value) else []
    if chosen := _CHOSEN.fullmatch(head):
        name, key, wanted = chosen.groups()
        items = [i for i in _dict(value).get(name) or [] if str(_dict(i).get(key)) == wanted]
        return [found for item in items for found in _at(item, rest)]
    return _at(_dict(value).get(head), rest)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def holds(asked: If, inputs: dict[str, Any]) -> bool:
    return any(value in asked.allowed if asked.allowed else value for value in values_at(inputs, asked.at))
