"""Incidents that the worker suggested of alike tickets, and what people say to them."""

from typing import Any, Literal

from psycopg.rows import DictRow

from services.core.kit import audit
from services.core.kit.database import Connection
from services.core.kit.errors import Conflict, NotFound
from services.core.kit.security import Principal

Verdict = Literal["confirmed", "dismissed"]
SHOWN = 50
TICKETS_SHOWN = 100

INCIDENTS = """
select i.*, m.tickets, m.team from incidents i cross join lateral (
    select count(*) as tickets, mode() within group (order by d."group") as team from incident_tickets t
    left join lateral (select "group" from decisions where ticket_id = t.ticket_id order by id desc limit 1) d on true
    where t.incident_id = i.id) m
order by i.state <> 'suggested', i.grown_at desc limit %s
"""
TICKETS = """
select m.incident_id, t.id, t.subject, t.created_at, t.status
from incident_tickets m join tickets t on t.id = m.ticket_id
where m.incident_id = any(%s) order by t.created_at
"""
CLOSE = """
update incidents set state = %(verdict)s, closed_by = %(by)s, closed_at = now()
where id = %(id)s and state = 'suggested' returning id
"""
EXISTS = "select from incidents where id = %(id)s"


async def listed(conn: Connection) -> list[dict[str, Any]]:
    """The open ones first, then the newest; each with its tickets, the oldest first."""
    rows: list[dict[str, Any]] = await (await conn.execute(INCIDENTS, (SHOWN,))).fetchall()
    tickets: dict[int, list[DictRow]] = {row["id"]: [] for row in rows}
    for ticket in await (await conn.execute(TICKETS, (list(tickets),))).fetchall():
        tickets[ticket["incident_id"]].append(ticket)
    return [row | {"members": tickets[row["id"]][:TICKETS_SHOWN]} for row in rows]


async def close(conn: Connection, incident: int, verdict: Verdict, who: Principal) -> None:
    """
    Raises:
        NotFound: there is none such. Conflict: somebody was first.
    """
    async with conn.transaction():
        values = {"id": incident, "verdict": verdict, "by": who.name}
        if await (await conn.execute(CLOSE, values)).fetchone() is None:
            if await (await conn.execute(EXISTS, values)).fetchone() is None:
                raise NotFound(f"There is no incident {incident}.")
            raise Conflict(f"Incident {incident} does not wait for an answer: somebody was first. Load the page anew.")
        await audit.append(conn, audit.Entry(who.name, f"incident.{verdict}", f"incident/{incident}", {}))
