"""The gateway's SQL: what the API and the console read, and what failed and is to be done again."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, LiteralString

from psycopg.rows import DictRow

from services.core.kit import outbox, tallies
from services.core.kit.database import Connection
from services.core.kit.workflows import APPLICATION, OLD_QUEUE, QUEUE

NUMBER = re.compile(r"#*[0-9]{1,18}")
LAST_CHARACTER = "\U0010ffff"

DELIVERED = """
select d.external_id, d.body_sha256, t.id as ticket_id from deliveries d
left join tickets t on t.connector = d.connector and t.external_id = d.external_id
where d.connector = %s and d.delivery_id = %s
"""
LISTED: LiteralString = """
select t.id, t.connector, t.external_id, t.status, t.state, t.subject, t.created_at, d.decision, r.state as review,
       r."group" as reviewed_group
"""
FROM_TICKETS: LiteralString = """
from tickets t
left join lateral (
    select decision, band, "group" from decisions where ticket_id = t.id order by id desc limit 1) d on true
left join reviews r on r.ticket_id = t.id
"""
# Through the indexes of decisions: a rare band or group is found without looking at every ticket.
FROM_DECISIONS: LiteralString = """
from decisions d
join tickets t on t.id = d.ticket_id
left join reviews r on r.ticket_id = t.id
"""
NEWEST: LiteralString = "not exists (select from decisions n where n.ticket_id = d.ticket_id and n.id > d.id)"
TICKETS_BY_ID = LISTED + FROM_TICKETS + " where t.id = any(%s) order by t.id"
CONDITIONS: dict[str, LiteralString] = {
    "band": "d.band = %(band)s",
    "group": 'd."group" = %(group)s',
    "before": "t.id < %(before)s",
    # The first 500 in the order of the systems' ids: a page has a tenth, and one letter matches them all.
    "search": """t.id in (select id from tickets where id = %(number)s union all (
    select id from tickets where lower(external_id) ~>=~ %(search)s and lower(external_id) ~<~ %(beyond)s
    order by lower(external_id) using ~<~ limit 500))""",
}
# Literals: an index of few states serves only a statement that names them.
STATES: dict[str, LiteralString] = {
    "received": "t.state = 'received'",
    "triaged": "t.state = 'triaged'",
    "filtered": "t.state = 'filtered'",
    "erased": "t.state = 'erased'",
}
TICKET = """
select id, connector, external_id, status, state, language, subject, body, current_group, created_at, updated_at
from tickets where id = %s
"""
PARTS: dict[str, LiteralString] = {
    "deliveries": "select d.kind, d.delivery_id, d.received_at from deliveries d "
    "join tickets t using (connector, external_id) where t.id = %s order by d.id",
    "decisions": "select decision || jsonb_build_object('decided_at', decided_at) as decision from decisions "
    "where ticket_id = %s order by id",
    "review": 'select reason, state, "group", answers, closed_by, opened_at, closed_at from reviews '
    "where ticket_id = %s",
    "labels": 'select "group", source, by, at from labels where ticket_id = %s order by id',
    "notes": "select kind, body, at from notes where ticket_id = %s order by id",
    "outbox": "select id, key, kind, state, attempts, last_error, result, created_at, settled_at from outbox "
    "where ticket_id = %s order by id",
    "model_calls": "select task, model, prompt_version, input_tokens, output_tokens, usd, outcome, at from llm_calls "
    "where ticket_id = %s::text order by id",
    "audit": "select seq, at, actor, action, detail, hash from audit_log where subject = 'ticket/' || %s "
    "order by seq nulls last, pending",
}
GAPS = """
select m.text as question, g.questions, g.refused, g.by_people, g.usd, g.hours, g.title, g.nearness, g.hidden
from gaps g join messages m on m.id = g.example order by g.questions desc, g.id limit 50
"""
GROUPS = "select name, description from catalogue where kind = 'group' and active order by rank, name"
COUNTS = """
select (select count(*) from tickets where state = 'received') as waiting,
       (select count(*) from reviews where state = 'open') as reviews_open,
       (select count(*) from outbox where state = 'pending') as outbox_pending,
       (select count(*) from outbox where state = 'dead')
       + (select count(*) from dbos.workflow_status
          where status in ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED') and application_name = %(application)s)
       as dead_letters,
       (select count(*) from executors where beat_at > now() - interval '15 seconds') as workers,
       (select version from models where status = 'champion') as model_version,
       (select serving_since from models where status = 'champion') as model_since,
       (select manifest ->> 'encoder' = 'frozen' from models where status = 'champion') as model_is_first
"""
# What a load balancer asks every few seconds: indexes only, whatever the tables have grown to.
PULSE = """
select (select count(*) from (
            select from tickets where state = 'received' limit 1000) t) as waiting,
       (select count(*) from (select from outbox where state = 'pending' limit 1000) o) as outbox_pending,
       (select count(*) from (select from outbox where state = 'dead' limit 1000) o) as dead_letters,
       (select count(*) from executors where beat_at > now() - interval '15 seconds') as workers,
       (select version from models where status = 'champion') as model_version,
       (select extract(epoch from now() - serving_since)::float8 from models where status = 'champion')
           as champion_since_s
"""
TRAINED = """
with told as (select *, row_number() over (order by created_at desc, version) = 1 as is_newest from models)
select which, created_at, (metrics ->> 'accuracy')::float8 as accuracy,
       (select count(*) from jsonb_array_elements(gates) gate where not (gate ->> 'passed')::boolean) as gates_failed
from told, unnest(array['newest', 'champion']) as which
where (which = 'newest' and is_newest) or (which = 'champion' and status = 'champion')
"""
# What every living worker's heartbeat tells of systems that do not answer it. Tickets wait as letters, or in the queue.
SILENT = """
with silent as (
    select name as system, min(since::timestamptz) as since
    from executors, jsonb_each_text(silent) as told (name, since)
    where beat_at > now() - interval '15 seconds' group by name)
select system, since, (
    select count(distinct id) from (
        (select ticket_id::text as id from outbox where connector = system and state = 'pending' limit 1000)
        union all
        (select split_part(workflow_uuid, ':', 2) from dbos.workflow_status
         where queue_name = %(queue)s and queue_partition_key = system and status in ('ENQUEUED', 'PENDING')
           and application_name = %(application)s limit 1000)) waiting) as tickets_waiting
from silent order by system
"""
# Letters that failed for good, and workflows that did: both can be replayed under their own key.
# Newest first, by pages: what has just failed is what somebody is looking for.
DEAD_LETTERS = """
select * from (
    select o.id::text as id, o.kind, o.ticket_id::text as ticket_id, o.connector, o.attempts, o.last_error as why,
           o.settled_at as since
    from outbox o where o.state = 'dead'
    union all
    select w.workflow_uuid, 'workflow ' || w.name, t.id::text, t.connector, w.recovery_attempts::int, w.status,
           to_timestamp(w.updated_at / 1000.0)
    from dbos.workflow_status w
    left join tickets t on t.id = substring(w.workflow_uuid from '^[a-z]+:([0-9]{1,18})')::bigint
    where w.status in ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED') and w.application_name = %(application)s) dead
where %(since)s::timestamptz is null or (since, id) < (%(since)s::timestamptz, %(id)s::text)
order by since desc, id desc limit %(limit)s
"""
# Letters that keep failing and are not dead: their system does not answer, or answers 5xx to this one for ever.
WAITING_LETTERS = """
select id::text as id, kind, ticket_id::text as ticket_id, connector, attempts, last_error as why, created_at as since,
       due_at
from outbox where state = 'pending' and last_error is not null order by created_at, id limit %s
"""
# The engine keeps a failed step's error and would raise it again without calling the step: it has to go first.
REPLAY_WORKFLOWS = """
with failed as (
    select workflow_uuid from dbos.workflow_status
    where status in ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED') and application_name = %(application)s
      and (%(id)s::text is null or workflow_uuid = %(id)s)
), forgotten as (
    delete from dbos.operation_outputs o using failed f where o.workflow_uuid = f.workflow_uuid and o.error is not null
)
update dbos.workflow_status w set
    status = 'ENQUEUED', owner_xid = null,
    queue_name = case when w.queue_partition_key is null then %(old_queue)s else %(queue)s end,
    started_at_epoch_ms = null,
    recovery_attempts = 0, error = null, updated_at = (extract(epoch from now()) * 1000)::bigint
from failed f where w.workflow_uuid = f.workflow_uuid returning w.workflow_uuid
"""


async def tickets(conn: Connection, filters: Mapping[str, Any]) -> list[DictRow]:
    """Newest first. `filters`: limit, and before (id), band, group, state, search (an id, or how one begins) if any."""
    given = {name: value for name, value in filters.items() if value is not None}
    words = given.get("search", "")
    number = int(words.lstrip("#")) if NUMBER.fullmatch(words) else None
    search = {"number": number, "search": words.lower(), "beyond": words.lower() + LAST_CHARACTER}
    return await (await conn.execute(_tickets_statement(given), given | search)).fetchall()


def _tickets_statement(given: Mapping[str, Any]) -> LiteralString:
    """The way that reads least: few by state or search, else the index of the band or group, else the newest."""
    conditions = [condition for name, condition in CONDITIONS.items() if name in given]
    if "state" in given:
        conditions.append(STATES[given["state"]])
    is_by_decision = {"band", "group"} & given.keys() and "search" not in given
    if is_by_decision and given.get("state", "triaged") == "triaged":
        start, conditions = FROM_DECISIONS, [NEWEST, *conditions]
    else:
        start = FROM_TICKETS
    order: LiteralString = "d.ticket_id" if start is FROM_DECISIONS else "t.id"
    where: LiteralString = " where " + " and ".join(conditions) if conditions else ""
    return LISTED + start + where + " order by " + order + " desc limit %(limit)s"


async def tickets_by_id(conn: Connection, ids: list[int]) -> list[DictRow]:
    return await (await conn.execute(TICKETS_BY_ID, (ids,))).fetchall()


async def ticket(conn: Connection, ticket_id: int) -> dict[str, Any] | None:
    """All there is to tell about one ticket, its text redacted; None when there is none."""
    async with conn.pipeline():  # one exchange with the server, not one for each part
        head = await conn.execute(TICKET, (ticket_id,))
        cursors = {name: await conn.execute(sql, (ticket_id,)) for name, sql in PARTS.items()}
    row = await head.fetchone()
    if row is None:
        return None
    parts: dict[str, Any] = {name: await cursor.fetchall() for name, cursor in cursors.items()}
    parts["review"] = parts["review"][0] if parts["review"] else None
    parts["decisions"] = [entry["decision"] for entry in parts["decisions"]]
    return {**row, **parts}


async def groups(conn: Connection) -> list[DictRow]:
    """The active groups of the label catalogue."""
    return await (await conn.execute(GROUPS)).fetchall()


async def pulse(conn: Connection) -> dict[str, Any]:
    """What `/health` tells; numbers stop at 1,000."""
    row = await (await conn.execute(PULSE)).fetchone()
    return row or {}


async def trained(conn: Connection) -> list[DictRow]:
    """The newest model and the champion: when they were registered, how good they are, and what they failed."""
    return await (await conn.execute(TRAINED)).fetchall()


async def silent_systems(conn: Connection) -> list[DictRow]:
    """The ticketing systems that do not answer, since when, and how many tickets wait for each; up to 1,000 or so."""
    return await (await conn.execute(SILENT, {"queue": QUEUE, "application": APPLICATION})).fetchall()


async def gaps(conn: Connection) -> list[DictRow]:
    """What the chat could not answer, as it last looked, the most frequent first."""
    return await (await conn.execute(GAPS)).fetchall()


async def counts(conn: Connection) -> dict[str, Any]:
    """How much of everything there is: for `/health`, `pointsman status` and the console's head."""
    row = await (await conn.execute(COUNTS, {"application": APPLICATION})).fetchone()
    return {"tickets": await tallies.tickets(conn), **(row or {}), "bands": await tallies.bands(conn)}


async def dead_letters(conn: Connection, *, limit: int, before: tuple[datetime, str] | None = None) -> list[DictRow]:
    """What failed for good, newest first, from after `before` (since and id of the last one seen) on."""
    since, letter_id = before or (None, None)
    values = {"application": APPLICATION, "limit": limit, "since": since, "id": letter_id}
    return await (await conn.execute(DEAD_LETTERS, values)).fetchall()


async def waiting_letters(conn: Connection, *, limit: int) -> list[DictRow]:
    """What has failed and will be tried again, oldest first."""
    return await (await conn.execute(WAITING_LETTERS, (limit,))).fetchall()


async def replay(conn: Connection, letter_id: str | None) -> int:
    """Makes one dead letter or failed workflow due again, or all; returns how many."""
    replayed = 0
    if letter_id is None or (letter_id.isascii() and letter_id.isdecimal() and len(letter_id) < 19):
        replayed = await outbox.replay(conn, int(letter_id) if letter_id else None)
    values = {"queue": QUEUE, "old_queue": OLD_QUEUE, "application": APPLICATION, "id": letter_id}
    return replayed + len(await (await conn.execute(REPLAY_WORKFLOWS, values)).fetchall())
