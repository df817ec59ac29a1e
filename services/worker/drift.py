"""
Whether tickets, texts, confidence or right answers are other than they were: judged once a day, told once each.

The windows end at midnight UTC. Texts of both are embedded anew by the model that serves now, because vectors of two
encoders do not compare: a few at a time behind the tickets, and none is kept. One worker does it.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import LiteralString

import structlog
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from services.core.contracts.drift import DriftReport, DriftRules, Kind
from services.core.contracts.prediction import NO_GROUP, Prediction
from services.core.drift.judge import Decided, Window, judge
from services.core.kit.database import Connection, Pool, connection
from services.core.kit.errors import InputInvalid, RouterUnavailable
from services.core.kit.locks import Lock
from services.core.models.client import RouterClient
from services.core.models.texts import join_text
from services.worker.metrics import DRIFT_JUDGED, DRIFT_SHIFTED

log = structlog.get_logger()

LOOK_S = 600.0
BATCH = 8  # texts in one question to the router: it must not make tickets wait
BETWEEN_S = 0.03
ROWS_MAX = 20_000  # decisions of a window that are looked at
LASTS_DAYS = 7  # a shift that comes back within a week is the same one

RULES = "select rules from watch_rules where kind = 'drift' order by id desc limit 1"
IS_DONE = "select 1 as done from drift_reports where day = %s"
NEWEST = "select report, at from drift_reports order by day desc limit 1"
CHAMPION = "select version from models where status = 'champion'"
# The newest decision of each ticket, and where it belonged: a review's word, else a closing's, else feedback's.
DECIDED: LiteralString = """
select distinct on (d.ticket_id) d.ticket_id, d."group", d.confidence, d.model_version, l.actual
from decisions d left join lateral (
    select "group" as actual from labels where ticket_id = d.ticket_id
    order by array_position(array['review', 'close', 'feedback'], source) limit 1) l on true
where d.decided_at >= %(since)s and d.decided_at < %(until)s
order by d.ticket_id desc, d.id desc limit %(most)s
"""
# By a hash of the id: any part of the window as likely as any other, and the same ones when it is asked again.
TEXTS: LiteralString = """
select id, subject, body from tickets where id = any(%(ids)s) and subject is not null and state <> 'erased'
order by md5(id::text) limit %(most)s
"""
EARLIER = """
select distinct on (one ->> 'kind') one ->> 'kind' as kind, (one ->> 'since')::date as since
from drift_reports, jsonb_array_elements(report -> 'tests') one
where day >= %(day)s::date - %(lasts)s::int and day < %(day)s and (one ->> 'has_shifted')::boolean
order by one ->> 'kind', day desc
"""
KEEP = "insert into drift_reports (day, report) values (%s, %s) on conflict do nothing returning day"
FIND = "insert into drift_findings (kind, since, effect, p) values (%s, %s, %s, %s) on conflict do nothing"


async def watch_drift(pool: Pool, router: RouterClient, *, stop: asyncio.Event) -> None:
    """Looks every ten minutes whether the day has been judged, until `stop`."""
    while not stop.is_set():
        try:
            await judge_day(pool, router, day=datetime.now(UTC).date())
            await tell_metrics(pool)
        except Exception as exc:  # the router, the database, a model that was promoted meanwhile: the next look
            log.warning("worker.drift.postponed", error=type(exc).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_S)


async def judge_day(pool: Pool, router: RouterClient, *, day: date) -> DriftReport | None:
    """
    The day's report, stored; None when it was there, or another worker is at it.

    Raises:
        RouterUnavailable: texts could not be embedded by one model; a later look may.
    """
    async with connection(pool) as conn:
        if not await _may_i(conn):
            return None
        try:
            if await (await conn.execute(IS_DONE, (day,))).fetchone():
                return None
            report = await _judge(conn, router, day)
            async with conn.transaction():
                await _keep(conn, report)
            log.info("worker.drift.judged", day=str(day), verdict=report.verdict)
            return report
        finally:
            await conn.execute("select pg_advisory_unlock(%s)", (Lock.DRIFT.value,))


async def tell_metrics(pool: Pool) -> None:
    """Sets the gauges from the newest report."""
    async with connection(pool) as conn:
        row = await (await conn.execute(NEWEST)).fetchone()
    if row is None:
        return
    DRIFT_JUDGED.set(row["at"].timestamp())
    for one in DriftReport.stored(row["report"]).tests:
        DRIFT_SHIFTED.labels(one.kind).set(bool(one.has_shifted))


async def _judge(conn: Connection, router: RouterClient, day: date) -> DriftReport:
    row = await (await conn.execute(RULES)).fetchone()
    rules = DriftRules.stored(row["rules"]) if row else DriftRules()
    end = datetime.combine(day, datetime.min.time(), UTC)
    middle = end - timedelta(days=rules.now_days)
    before = await _decided(conn, middle - timedelta(days=rules.before_days), middle)
    now = await _decided(conn, middle, end)
    windows = await _windows(conn, router, before, now, rules)
    champion = await (await conn.execute(CHAMPION)).fetchone()
    earlier: dict[Kind, date] = {
        row["kind"]: row["since"]
        for row in await (await conn.execute(EARLIER, {"day": day, "lasts": LASTS_DAYS})).fetchall()
    }
    return judge(day, *windows, rules, earlier, champion["version"] if champion else None)


async def _decided(conn: Connection, since: datetime, until: datetime) -> list[DictRow]:
    values = {"since": since, "until": until, "most": ROWS_MAX}
    return await (await conn.execute(DECIDED, values)).fetchall()


async def _windows(
    conn: Connection, router: RouterClient, before: Sequence[DictRow], now: Sequence[DictRow], rules: DriftRules
) -> tuple[Window, Window]:
    """Texts are embedded only where both windows have enough of them."""
    texts = [await _texts(conn, rows, rules.texts) for rows in (before, now)]
    if min(map(len, texts)) < rules.rows_min:
        return Window([*map(_read, before)]), Window([*map(_read, now)])
    vectors, version = await _embed(router, texts[0])
    others, version_now = await _embed(router, texts[1])
    if version != version_now:
        raise RouterUnavailable("Another model was put into service while texts were compared.")
    return _window(before, texts[0], vectors), _window(now, texts[1], others)


def _window(rows: Sequence[DictRow], texts: Sequence[DictRow], vectors: list[list[float]]) -> Window:
    import numpy as np

    matrix = np.array(vectors, np.float32) if len(vectors) == len(texts) else None
    return Window([*map(_read, rows)], [row["id"] for row in texts], matrix)


async def _texts(conn: Connection, rows: Sequence[DictRow], most: int) -> list[DictRow]:
    values = {"ids": [row["ticket_id"] for row in rows], "most": most}
    return await (await conn.execute(TEXTS, values)).fetchall()


async def _embed(router: RouterClient, rows: Sequence[DictRow]) -> tuple[list[list[float]], str]:
    """Vectors of the texts, none where the router's model has no encoder, and the version that made them."""
    vectors: list[list[float]] = []
    versions: set[str] = set()
    for start in range(0, len(rows), BATCH):
        some = [join_text(row["subject"], row["body"] or "") or "(empty)" for row in rows[start : start + BATCH]]
        for prediction, vector in await _ask(router, some):
            versions.add(prediction.model_version)
            vectors += [vector] if vector else []
        await asyncio.sleep(BETWEEN_S)
    if len(versions) != 1:
        raise RouterUnavailable("Another model was put into service while texts were compared.")
    return vectors, versions.pop()


async def _ask(router: RouterClient, texts: list[str]) -> list[tuple[Prediction, list[float] | None]]:
    """A text that no model reads counts as empty: no day goes without a report for it."""
    try:
        return await router.predict_many(texts, want_embeddings=True)
    except InputInvalid:
        if len(texts) == 1:
            return await router.predict_many(["(empty)"], want_embeddings=True)
        return [answer for text in texts for answer in await _ask(router, [text])]


def _read(row: DictRow) -> Decided:
    actual = row["actual"]
    is_right = None if actual in (None, NO_GROUP) else actual == row["group"]
    return Decided(row["group"] or "(none)", row["confidence"], row["model_version"], is_right)


async def _keep(conn: Connection, report: DriftReport) -> None:
    await conn.execute(KEEP, (report.day, Jsonb(report.model_dump(mode="json"))))
    for one in report.tests:
        if one.has_shifted:
            await conn.execute(FIND, (one.kind, one.since, one.effect, one.p))


async def _may_i(conn: Connection) -> bool:
    row = await (await conn.execute("select pg_try_advisory_lock(%s) as mine", (Lock.DRIFT.value,))).fetchone()
    return bool(row and row["mine"])
