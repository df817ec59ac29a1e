"""
Durable workflows: DBOS on our Postgres, behind the few words we use of it.

Steps run at least once, so each outside effect carries a key. Checkpoints hold ids and scores, never ticket text.
The heartbeat reaper gives the work of dead executors back to the queue: without Conductor the library does not.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from psycopg import AsyncConnection
from psycopg.types.json import Json

from services.core.kit import login
from services.core.kit.database import Pool, connection, sqlalchemy_url
from services.core.kit.errors import DatabaseUnavailable
from services.core.kit.schema import CONNECT_TIMEOUT_S

if TYPE_CHECKING:
    from dbos import DBOS

log = structlog.get_logger()

APPLICATION = "pointsman"
VERSION = "2"  # raised by hand when what a workflow leaves behind changes; what older workers left then starts anew
QUEUE = "tickets"  # in parts, one per ticketing system: see `listen`
OLD_QUEUE = "triage"  # what gateways of before filled, in one part; nothing new comes in once all are this version
BEAT_S = 2.0
OLD_POLL_S = 2.0
DEAD_AFTER_S = 10.0  # five missed beats: longer than any garbage collection or model load in a running worker

ENQUEUE = """
select dbos.enqueue_workflow(%(name)s, %(queue)s, array[]::json[], %(arguments)s::json,
                             workflow_id => %(workflow_id)s, queue_partition_key => %(lane)s,
                             application_name => %(application)s)
"""
BEAT = """
insert into executors (executor_id, silent) values (%s, %s)
on conflict (executor_id) do update set beat_at = now(), silent = excluded.silent
"""
# Its row stays until the reaper has given back what it had begun.
LEAVE = "update executors set beat_at = '-infinity' where executor_id = %s"
# Work that another version of the workflows began and nobody living goes on with: it starts anew under this version.
# Its checkpoints go, because steps may have changed order; every step may run again, and every effect has its key.
ADOPT = """
with old as (
    update dbos.workflow_status w
    set status = 'ENQUEUED', application_version = null, owner_xid = null,
        queue_name = case when w.queue_partition_key is null then %(old_queue)s else %(queue)s end,
        started_at_epoch_ms = null, updated_at = (extract(epoch from now()) * 1000)::bigint
    where w.application_name = %(application)s and w.application_version <> %(version)s
      and (w.status = 'ENQUEUED' or w.status = 'PENDING' and (w.executor_id = %(me)s or not exists (
           select from executors e
           where e.executor_id = w.executor_id and e.beat_at > now() - make_interval(secs => %(dead_s)s))))
    returning w.workflow_uuid
), forgotten as (
    delete from dbos.operation_outputs o using old where o.workflow_uuid = old.workflow_uuid
)
select count(*) as adopted from old
"""
REAP = """
with dead as (
    select executor_id from executors where beat_at < now() - make_interval(secs => %s) for update skip locked
), resumed as (
    update dbos.workflow_status w
    set status = 'ENQUEUED', owner_xid = null, started_at_epoch_ms = null,
        updated_at = (extract(epoch from now()) * 1000)::bigint,
        queue_name = coalesce(queue_name, '_dbos_internal_queue')
    from dead where w.status = 'PENDING' and w.executor_id = dead.executor_id
    returning w.workflow_uuid
), buried as (
    delete from executors e using dead where e.executor_id = dead.executor_id
)
select count(*) as resumed from resumed
"""


Silent = Callable[[], Mapping[str, datetime]]  # systems that do not answer this executor, with since when


@dataclass(frozen=True)
class Start:
    """A workflow to run once: the same `workflow_id` again starts nothing. `lane`: whose tickets it runs among."""

    name: str
    workflow_id: str
    arguments: Mapping[str, Any]
    lane: str


async def enqueue(conn: AsyncConnection[Any], start: Start) -> None:
    """Enqueues in the caller's transaction: the workflow exists exactly when the caller's rows do."""
    await conn.execute(
        ENQUEUE,
        {
            "name": start.name,
            "queue": QUEUE,
            "arguments": Json(dict(start.arguments)),
            "workflow_id": start.workflow_id,
            "lane": start.lane,
            "application": APPLICATION,
        },
    )


def configure(database_url: str, *, executor_id: str, pool_size: int) -> "DBOS":
    """The engine, not yet launched. `executor_id` must be stable across restarts of one replica (pod name)."""
    from dbos import DBOS, DBOSConfig
    from dbos._serialization import DBOSPortableJSON  # not re-exported; JSON, because pickle would run code

    config: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": sqlalchemy_url(database_url),
        "db_engine_kwargs": {
            "creator": partial(login.connect, database_url, connect_timeout=CONNECT_TIMEOUT_S),
            "pool_pre_ping": False,  # a round trip for every use; a connection that broke is noticed, and tried again
        },
        "executor_id": executor_id,
        "application_version": VERSION,
        "sys_db_pool_size": pool_size,
        "serializer": DBOSPortableJSON,
        "run_migrations": False,
        "log_level": "WARNING",
    }
    return DBOS(config=config)


async def listen(*, places: int, poll_s: float) -> None:
    """
    Call it after the launch. Each system's tickets have so many places of their own: those that hang with their system
    fill them, and nobody else's.
    """
    from dbos import DBOS

    await DBOS.register_queue_async(QUEUE, partition_worker_concurrency=places, polling_interval_sec=poll_s)
    await DBOS.register_queue_async(OLD_QUEUE, worker_concurrency=places, polling_interval_sec=OLD_POLL_S)


async def adopt_older(pool: Pool, executor_id: str, *, version: str = VERSION) -> int:
    """Call it before the launch: takes over what an older version left unfinished; returns how many workflows."""
    async with connection(pool) as conn:
        values = {
            "queue": QUEUE,
            "old_queue": OLD_QUEUE,
            "application": APPLICATION,
            "version": version,
            "me": executor_id,
            "dead_s": DEAD_AFTER_S,
        }
        row = await (await conn.execute(ADOPT, values)).fetchone()
    return row["adopted"] if row else 0


async def beat_and_reap(pool: Pool, executor_id: str, *, stop: asyncio.Event, silent: Silent) -> None:
    """
    Tells the others that this executor lives and which systems do not answer it, and resumes the work of those that do
    not live, until `stop`.
    """
    while not stop.is_set():
        try:
            async with connection(pool) as conn:
                await conn.execute(
                    BEAT, (executor_id, Json({name: since.isoformat() for name, since in silent().items()}))
                )
                cursor = await conn.execute(REAP, (DEAD_AFTER_S,))
                row = await cursor.fetchone()
            if row and row["resumed"]:
                log.warning("workflows.executor.reaped", resumed=row["resumed"])
        except Exception as exc:  # without heartbeats the others would take this executor's work away: go on
            log.warning("workflows.heartbeat.missed", error=type(exc).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), BEAT_S)


async def leave(pool: Pool, executor_id: str) -> None:
    """Call it when the engine has ended: this executor no longer counts as living, and others go on with its work."""
    try:
        async with connection(pool) as conn:
            await conn.execute(LEAVE, (executor_id,))
    except DatabaseUnavailable as exc:  # the missing heartbeat will say it, only later
        log.warning("workflows.heartbeat.missed", error=type(exc).__name__)
