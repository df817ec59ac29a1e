"""
Tickets that are about to miss their SLA: noted once each, before they do; channels are told of what is noted.

The policies are data (`contracts.sla.SlaRules`); without any nothing is watched. One worker at a time.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from psycopg.rows import DictRow

from services.core.contracts.prediction import Hours
from services.core.contracts.sla import Policy, SlaRules
from services.core.contracts.ticket import Priority
from services.core.kit import business_time
from services.core.kit.database import Connection, Pool, connection
from services.core.kit.locks import Lock

log = structlog.get_logger()

LOOK_S = 60.0
PAGE = 1_000
OLDEST_DAYS = 365  # what is open for longer is nobody's news

RULES = "select rules from sla_rules order by id desc limit 1"
# Where people have put it, else where they said it belongs, else where it was routed by itself.
UNSOLVED = """
select t.id, t.created_at, d.priority, d.decision -> 'hours' as hours, (d.decision ->> 'breach')::float8 as breach,
       coalesce(t.current_group, r."group", case when d.band = 'AUTO_ROUTE' then d."group" end) as team
from tickets t
left join lateral (
    select "group", band, priority, decision from decisions where ticket_id = t.id order by id desc limit 1) d on true
left join reviews r on r.ticket_id = t.id
where t.status in ('new', 'open', 'pending') and t.state in ('triaged', 'filtered')
  and (t.created_at, t.id) > (%(at)s, %(id)s) order by t.created_at, t.id limit %(page)s
"""
NOTE = """
insert into sla_alerts (ticket_id, target_hours, "group", priority, due_at, why)
values (%(id)s, %(target_hours)s, %(team)s, %(priority)s, %(due_at)s, %(why)s)
on conflict do nothing returning ticket_id
"""


@dataclass(frozen=True)
class AtRisk:
    """A ticket that has used up so much of its time, or is foreseen to, that somebody should know."""

    ticket_id: int
    policy: Policy
    team: str | None
    priority: Priority | None
    due_at: datetime
    why: str = ""


async def watch_sla(pool: Pool, *, stop: asyncio.Event) -> None:
    """Looks every minute until `stop`."""
    while not stop.is_set():
        try:
            await look_once(pool, now=datetime.now(UTC))
        except Exception as exc:  # the next look finds the same tickets
            log.warning("worker.sla.postponed", error=type(exc).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_S)


async def look_once(pool: Pool, *, now: datetime) -> int:
    """How many tickets were noted for the first time."""
    async with connection(pool) as conn, conn.transaction():
        row = await (await conn.execute("select pg_try_advisory_xact_lock(%s) as mine", (Lock.SLA.value,))).fetchone()
        if not (row and row["mine"]):
            return 0
        found = await (await conn.execute(RULES)).fetchone()
        if found is None:
            return 0
        return await _look(conn, SlaRules.stored(found["rules"]), now)


def at_risk(rows: Sequence[DictRow], rules: SlaRules, now: datetime) -> list[AtRisk]:
    """Of these tickets the ones past their warning, breached ones included: they were not told of before."""
    found = []
    for row in rows:
        priority = Priority(row["priority"]) if row["priority"] else None
        policy = rules.policy_for(row["team"], priority)
        if policy is None:
            continue
        calendar = rules.calendars.get(policy.calendar or "")
        warned_at = business_time.after(row["created_at"], policy.target_hours * policy.warn_at, calendar)
        due_at = business_time.after(row["created_at"], policy.target_hours, calendar)
        why = "" if warned_at <= now else _foreseen(row, policy, due_at)
        if warned_at <= now or why:
            found.append(AtRisk(row["id"], policy, row["team"], priority, due_at, why))
    return found


def _foreseen(row: DictRow, policy: Policy, due_at: datetime) -> str:
    """Why a ticket is at risk though its time is not used up: what closed tickets like it tell; empty: they do not."""
    breach = row["breach"]
    if not policy.warn_chance:
        return ""
    if breach is not None and breach >= policy.warn_chance:
        return f"{breach:.0%} of tickets like it were late"
    given_h = (due_at - row["created_at"]) / timedelta(hours=1)  # by the clock, as hours were learnt
    longer = Hours.model_validate(row["hours"]).chance_longer(given_h) if row["hours"] else 0.0
    if longer >= policy.warn_chance:
        return f"{longer:.0%} of tickets like it take longer than the {given_h:.0f} h until it is due"
    return ""


async def _look(conn: Connection, rules: SlaRules, now: datetime) -> int:
    noted, at, last = 0, now - timedelta(days=OLDEST_DAYS), 0
    while rows := await (await conn.execute(UNSOLVED, {"at": at, "id": last, "page": PAGE})).fetchall():
        at, last = rows[-1]["created_at"], rows[-1]["id"]
        for risk in at_risk(rows, rules, now):
            noted += await _note(conn, risk)
    return noted


async def _note(conn: Connection, risk: AtRisk) -> bool:
    values = {
        "id": risk.ticket_id,
        "target_hours": risk.policy.target_hours,
        "team": risk.team,
        "priority": risk.priority,
        "due_at": risk.due_at,
        "why": risk.why,
    }
    return await (await conn.execute(NOTE, values)).fetchone() is not None
