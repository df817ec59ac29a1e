"""
What a notice is, whom it is for, and how several become one message. Pure: no I/O, no clock.

A notice holds ids, groups, numbers and names of our own errors. Nothing that came from a ticket or a vendor is in it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.core.contracts.base import Contract
from services.worker.notify.settings import EventKind, Rule, Severity

LINES_MAX = 10
TEAM_MAX_CHARS = 80
WORDS: Mapping[EventKind, tuple[str, str]] = {
    "escalation": ("escalation", "escalations"),
    "dead_letter": ("dead letter", "dead letters"),
    "failed_gate": ("model that failed its gates", "models that failed their gates"),
    "sla_risk": ("ticket that may miss its SLA", "tickets that may miss their SLA"),
    "drift": ("shift in the tickets", "shifts in the tickets"),
    "surge": ("incident suggested", "incidents suggested"),
}
PATHS: Mapping[EventKind, str] = {"drift": "/drift", "surge": "/incidents"}
LEAST: Mapping[EventKind, Severity] = {"escalation": Severity.INFO, "sla_risk": Severity.WARNING}
BY_PRIORITY = {"urgent": Severity.CRITICAL, "high": Severity.WARNING}


@dataclass(frozen=True)
class Notice:
    """One thing that happened. `what` is the sentence that people read."""

    key: str
    event: EventKind
    severity: Severity
    at: datetime
    what: str
    team: str | None = None
    ticket_id: int | None = None


class Line(Contract):
    """`path` leads into the console."""

    event: EventKind
    severity: Severity
    at: datetime
    what: str
    team: str | None = None
    ticket_id: str | None = None
    path: str | None = None


class Message(Contract):
    """What one message says, whatever the channel. `more`: how many beyond the lines."""

    title: str
    severity: Severity
    lines: tuple[Line, ...]
    more: int = 0


@dataclass
class Sorted:
    """Notices for one channel: to be told now, held back by quiet hours, and those that no rule is about."""

    now: list[Notice] = field(default_factory=list)
    later: list[Notice] = field(default_factory=list)
    never: list[Notice] = field(default_factory=list)


def read_notice(row: Mapping[str, Any]) -> Notice:
    """A row of what happened, in words."""
    event: EventKind = row["event"]
    severity = BY_PRIORITY.get(row["priority"] or "", LEAST[event]) if event in LEAST else Severity.WARNING
    return Notice(row["key"], event, severity, row["at"], SAYS[event](row), row["team"], row["ticket_id"])


def sort(notices: Sequence[Notice], rules: Sequence[Rule], now: datetime) -> Sorted:
    """By the rules of one channel: the first rule that speaks now wins; one that is quiet keeps it for later."""
    found = Sorted()
    for notice in notices:
        fitting = [rule for rule in rules if _fits(rule, notice)]
        if not fitting:
            found.never.append(notice)
        elif all(rule.quiet and rule.quiet.holds_back(notice.severity, now) for rule in fitting):
            found.later.append(notice)
        else:
            found.now.append(notice)
    return found


def compose(notices: Sequence[Notice]) -> Message:
    """One message: the notice itself, or how many of each kind and the gravest of them, the newest first."""
    ordered = sorted(notices, key=lambda one: (-one.severity.rank, -one.at.timestamp(), one.key))
    lines = tuple(_line(notice) for notice in ordered[:LINES_MAX])
    title = lines[0].what if len(ordered) == 1 else _count(ordered)
    return Message(title=title, severity=ordered[0].severity, lines=lines, more=len(ordered) - len(lines))


def _fits(rule: Rule, notice: Notice) -> bool:
    is_team = not rule.teams or notice.team in rule.teams
    return notice.event in rule.events and is_team and notice.severity.rank >= rule.severity.rank


def _line(notice: Notice) -> Line:
    return Line(
        event=notice.event,
        severity=notice.severity,
        at=notice.at,
        what=notice.what,
        team=notice.team,
        ticket_id=str(notice.ticket_id) if notice.ticket_id else None,
        path=f"/tickets/{notice.ticket_id}" if notice.ticket_id else PATHS.get(notice.event),
    )


def _count(notices: Sequence[Notice]) -> str:
    counted = Counter(notice.event for notice in notices)
    return ", ".join(f"{number} {WORDS[event][number > 1]}" for event, number in counted.most_common())


def _escalation(row: Mapping[str, Any]) -> str:
    team = (row["team"] or "no group")[:TEAM_MAX_CHARS]
    return (
        f"Ticket {row['ticket_id']} needs a person: {team}, confidence {row['confidence']:.0%}, "
        f"priority {row['priority'] or 'unknown'}."
    )


def _dead_letter(row: Mapping[str, Any]) -> str:
    about = f" (ticket {row['ticket_id']})" if row["ticket_id"] else ""
    return f"{row['name']} failed for good{about}: {row['why']}. See: pointsman dead-letters list"


def _failed_gate(row: Mapping[str, Any]) -> str:
    return f"{row['name']} was trained but not put into service. Gates not passed: {row['why']}."


def _sla_risk(row: Mapping[str, Any]) -> str:
    team = (row["team"] or "no group")[:TEAM_MAX_CHARS]
    return f"Ticket {row['ticket_id']} may miss its target of {row['name']} h: {team}, due {row['why']}."


SHIFTED = {
    "labels": "Tickets go to other groups than before",
    "inputs": "Tickets say other things than before",
    "confidence": "The router's confidence is not what it was",
    "performance": "The router is right less often than before",
}


def _drift(row: Mapping[str, Any]) -> str:
    return f"{SHIFTED[row['name']]}, since {row['why']}. See: pointsman drift report"


def _surge(row: Mapping[str, Any]) -> str:
    team = f", most of them for {row['team'][:TEAM_MAX_CHARS]}" if row["team"] else ""
    return f"{row['why']} alike tickets in a short time{team}: incident {row['name']}. See: pointsman incidents list"


SAYS: Mapping[EventKind, Callable[[Mapping[str, Any]], str]] = {
    "escalation": _escalation,
    "dead_letter": _dead_letter,
    "failed_gate": _failed_gate,
    "sla_risk": _sla_risk,
    "drift": _drift,
    "surge": _surge,
}
