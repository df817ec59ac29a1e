"""
Zendesk's search language, as far as clients write it: `type:ticket status<solved -tags:vip created>2026-01-01 words`.

A keyword that is not known here is refused, never searched as text: a test must not pass on a query that means less.
Source: https://support.zendesk.com/hc/en-us/articles/4408886879258 (reference of search terms).
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.local.zendesk_double.account import PRIORITIES, STATUSES, Account, ApiError

Item = Mapping[str, Any]
TERM = re.compile(r'(?P<not>-?)(?:(?P<key>[a-z_]+)(?P<how>:|<=|>=|<|>))?(?P<value>"[^"]*"|\S+)')
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
RANKS = {"priority": PRIORITIES, "status": STATUSES}
TIMES = {"created": "created_at", "updated": "updated_at"}
PEOPLE = {"requester": "requester_id", "assignee": "assignee_id", "submitter": "submitter_id"}
PLAIN = ("status", "priority", "subject", "description", "external_id", "email", "role", "name")
TYPES = ("ticket", "user", "group")


@dataclass(frozen=True)
class Term:
    is_negated: bool
    key: str | None
    how: str
    value: str


def search(account: Account, query: str, *, actor_id: int) -> list[dict[str, Any]]:
    """What matches, each with its `result_type`, oldest first."""
    terms = [_term(match) for match in TERM.finditer(query)]
    kinds = [term.value for term in terms if term.key == "type"] or list(TYPES)
    stored = {
        "ticket": [ticket for ticket in account.tickets.values() if ticket["id"] not in account.deleted],
        "user": list(account.users.values()),
        "group": list(account.groups.values()),
    }
    matches = _matcher(account, [term for term in terms if term.key != "type"], actor_id)
    return [item | {"result_type": kind} for kind in kinds for item in stored.get(kind, []) if matches(kind, item)]


def _matcher(account: Account, terms: list[Term], actor_id: int) -> Callable[[str, Item], bool]:
    """Terms of one field are alternatives, different fields and words must all hold, negated ones must not."""

    def matches(kind: str, item: Item) -> bool:
        found: dict[tuple[Any, ...], bool] = {}
        for position, term in enumerate(terms):
            holds = _holds(account, term, item, actor_id) != term.is_negated
            is_alternative = term.key is not None and term.how == ":" and not term.is_negated
            name = (term.key,) if is_alternative else (term.key, position)
            found[name] = found.get(name, False) or holds
        return all(found.values())

    return matches


def _holds(account: Account, term: Term, item: Item, actor_id: int) -> bool:
    if term.key is None:
        return any(term.value.lower() in text.lower() for text in _texts(account, item))
    if term.key in PEOPLE:
        return _is_person(account, item.get(PEOPLE[term.key]), term.value, actor_id)
    if term.key in ("group", "group_id"):
        group = account.groups.get(item.get("group_id") or 0)
        return group is not None and term.value.lower() in (str(group["id"]), group["name"].lower())
    if term.key == "tags":
        return term.value in item.get("tags", ()) or (term.value == "none" and not item.get("tags"))
    if term.key in TIMES:
        return _compare(term.how, (item.get(TIMES[term.key]) or "")[: len(term.value)], term.value)
    return _is_value(term, item)


def _is_value(term: Term, item: Item) -> bool:
    key = {"ticket_type": "type"}.get(term.key or "", term.key or "")
    value = item.get(key)
    if key in RANKS and term.how != ":":
        return value is not None and _compare(term.how, _rank(key, value), _rank(key, term.value))
    if key in ("subject", "description", "name"):
        return term.value.lower() in str(value or "").lower()
    return str(value).lower() == term.value.lower() or (value is None and term.value == "none")


def _compare(how: str, found: Any, wanted: Any) -> bool:
    return COMPARE.get(how, operator.eq)(found, wanted)


def _rank(key: str, value: str) -> int:
    if value not in RANKS[key]:
        raise _refused(f"{value!r} is no {key}")
    return RANKS[key].index(value)


def _is_person(account: Account, user_id: int | None, wanted: str, actor_id: int) -> bool:
    if wanted in ("none", "me"):
        return user_id == (None if wanted == "none" else actor_id)
    user = account.users.get(user_id or 0)
    return user is not None and wanted.lower() in (str(user["id"]), user["email"].lower(), user["name"].lower())


def _texts(account: Account, item: Item) -> list[str]:
    bodies = [comment["body"] for comment in account.comments.get(item["id"], [])] if "subject" in item else []
    return [str(item.get(name) or "") for name in ("subject", "description", "name", "email")] + bodies


def _term(match: re.Match[str]) -> Term:
    known = (*TIMES, *PEOPLE, *PLAIN, "group", "group_id", "tags", "type", "ticket_type")
    key = match["key"]
    if key is not None and key not in known:
        raise _refused(f"the keyword {key!r} is not known to this double")
    return Term(match["not"] == "-", key, match["how"] or ":", match["value"].strip('"'))


def _refused(why: str) -> ApiError:
    return ApiError(422, "Unprocessable Entity", f"Invalid search: {why}")
