"""
Finds what happened since a channel was last told, and puts one message for it into the outbox.

What happened is read from where it is recorded anyway: decisions, dead letters, failed workflows, the audit log. What a
channel has been told is written down in the transaction that puts the letter, so each is told once, whoever is
killed. One worker at a time does it.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from services.core.kit import outbox
from services.core.kit.database import Connection, Pool, connection
from services.core.kit.locks import Lock
from services.core.kit.workflows import APPLICATION
from services.worker.notify.notices import Notice, Sorted, compose, read_notice, sort
from services.worker.notify.settings import NotifySettings

log = structlog.get_logger()

LANE = "notify:"
LOOK_S = 5.0
OLDEST_DAYS = 3  # a long weekend of quiet hours; what is older is not news
FORGET_AFTER_DAYS = 7
BATCH = 5_000  # in one message; what is beyond comes in the next

# A name and an error's kind are ours; what the error says may be a vendor's words, with a ticket's text in them.
HAPPENED = """
select 'escalation:' || d.id as key, 'escalation' as event, d.decided_at as at, d."group" as team, d.ticket_id,
       d.priority, d.confidence, null as name, null as why
from decisions d where d.decided_at > %(since)s and d.band = 'ESCALATE' and not d.shadow
union all
select 'letter:' || o.id || ':' || o.settled_at, 'dead_letter', o.settled_at, d."group", o.ticket_id, null, null,
       'A letter to ' || coalesce(o.connector, 'the event sink'), substring(o.last_error from '^[A-Za-z]+')
from outbox o left join lateral (
    select "group" from decisions where ticket_id = o.ticket_id order by id desc limit 1) d on true
where o.state = 'dead' and o.settled_at > %(since)s and o.kind <> 'notice'
union all
select 'workflow:' || w.workflow_uuid || ':' || w.updated_at, 'dead_letter', to_timestamp(w.updated_at / 1000.0), null,
       substring(w.workflow_uuid from '^[a-z]+:([0-9]{1,18})')::bigint, null, null, 'Workflow ' || w.name, w.status
from dbos.workflow_status w
where w.status in ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED') and w.application_name = %(application)s
  and w.updated_at > extract(epoch from %(since)s::timestamptz) * 1000
union all
select 'gate:' || a.subject, 'failed_gate', a.at, null, null, null, null, 'Model ' || split_part(a.subject, '/', 2),
       a.detail ->> 'gates'
from audit_log a where a.action = 'model.rejected' and a.at > %(since)s
union all
select 'sla:' || s.ticket_id || ':' || s.target_hours, 'sla_risk', s.at, s."group", s.ticket_id, s.priority, null,
       s.target_hours::text,
       to_char(s.due_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') || coalesce(': ' || nullif(s.why, ''), '')
from sla_alerts s where s.at > %(since)s
union all
select 'drift:' || f.kind || ':' || f.since, 'drift', f.at, null, null, null, null, f.kind, f.since::text
from drift_findings f where f.at > %(since)s
union all
select 'surge:' || i.id, 'surge', i.at, m.team, null, null, null, i.id::text, m.tickets::text
from incidents i cross join lateral (
    select count(*) as tickets, mode() within group (order by d."group") as team from incident_tickets t
    left join lateral (select "group" from decisions where ticket_id = t.ticket_id order by id desc limit 1) d on true
    where t.incident_id = i.id) m
where i.at > %(since)s
"""
UNTOLD = f"""
select * from ({HAPPENED}) happened
where not exists (select from notices_told t where t.channel = %(channel)s and t.key = happened.key)
order by at limit %(batch)s
"""  # noqa: S608  # our own statements
# A channel hears of what happens from its first day on.
CHANNEL = """
insert into notice_channels (channel) values (%(channel)s)
on conflict (channel) do update set channel = excluded.channel
returning greatest(since, now() - make_interval(days => %(oldest_days)s)) as since,
          coalesce(last_at <= now() - make_interval(secs => %(every_s)s), true) as may_speak
"""
SPOKE = "update notice_channels set last_at = now() where channel = %s"
TELL = "insert into notices_told (channel, key) select %s, unnest(%s::text[]) on conflict do nothing"
FORGET = "delete from notices_told where at < now() - make_interval(days => %s)"


async def announce(pool: Pool, settings: NotifySettings, *, stop: asyncio.Event) -> None:
    """Looks every few seconds until `stop`; without a channel it does nothing."""
    while settings.channels and not stop.is_set():
        try:
            await announce_once(pool, settings, now=datetime.now(UTC))
        except Exception as exc:  # nothing is lost: what was not told is found again
            log.warning("worker.notices.postponed", error=type(exc).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_S)


async def announce_once(pool: Pool, settings: NotifySettings, *, now: datetime) -> int:
    """How many messages were put into the outbox."""
    said = 0
    for channel in settings.channels:
        async with connection(pool) as conn, conn.transaction():
            if await _is_my_turn(conn):
                said += await _announce_to(conn, settings, channel, now)
    return said


async def _announce_to(conn: Connection, settings: NotifySettings, channel: str, now: datetime) -> bool:
    every_s = settings.channels[channel].at_most_every_s
    state = await (
        await conn.execute(CHANNEL, {"channel": channel, "oldest_days": OLDEST_DAYS, "every_s": every_s})
    ).fetchone()
    assert state is not None  # the insert returns its row
    values = {"channel": channel, "since": state["since"], "batch": BATCH, "application": APPLICATION}
    rows = await (await conn.execute(UNTOLD.encode(), values)).fetchall()
    found = sort([read_notice(row) for row in rows], [r for r in settings.rules if r.to == channel], now)
    told = [*found.never, *(found.now if state["may_speak"] else ())]
    await conn.execute(TELL, (channel, [notice.key for notice in told]))
    await conn.execute(FORGET, (FORGET_AFTER_DAYS,))
    return await _speak(conn, channel, found) if state["may_speak"] and found.now else False


async def _speak(conn: Connection, channel: str, found: Sorted) -> bool:
    message = compose(found.now)
    key = f"notice:{channel}:{_digest(found.now)}"
    payload = message.model_dump(mode="json")
    await outbox.put(conn, key, payload, kind="notice", ticket_id=None, connector=LANE + channel)
    await conn.execute(SPOKE, (channel,))
    log.info("worker.notices.put", channel=channel, notices=len(found.now))
    return True


def _digest(notices: Sequence[Notice]) -> str:
    return hashlib.sha256("\0".join(notice.key for notice in notices).encode()).hexdigest()[:32]


async def _is_my_turn(conn: Connection) -> bool:
    row = await (await conn.execute("select pg_try_advisory_xact_lock(%s) as mine", (Lock.NOTICES.value,))).fetchone()
    return bool(row and row["mine"])
