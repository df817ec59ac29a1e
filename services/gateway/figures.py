"""What the prediction API reports: SLA hours, performance, what it saved, drift. Counted from stored rows, or None."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, LiteralString
from uuid import UUID

from psycopg.rows import DictRow
from pydantic import BaseModel, Field

from services.core.contracts.decision import Decision
from services.core.drift import shifts
from services.core.kit.database import Connection
from services.core.kit.errors import NotFound

SLA_TICKETS_MIN = 20  # a tenth and nine tenths of fewer are single tickets
SLA_TICKETS_MAX = 2_000
SAMPLE_MAX = 20_000  # decisions of a window that are looked at, the newest

# How long the group's own closed tickets took; only those whose export says when they were opened and closed.
SLA: LiteralString = """
select g as name, count(*)::int as tickets, percentile_cont(array[0.1, 0.5, 0.9]) within group (order by hours) as hours
from unnest(%(groups)s::text[]) g cross join lateral (
    select extract(epoch from solved_at - created_at) / 3600 as hours from history
    where "group" = g and solved_at > created_at order by solved_at desc limit %(most)s) closed
group by g
"""
KEEP = """
insert into predictions (id, caller, "group", band, confidence, model_version) values (%s, %s, %s, %s, %s, %s)
"""
ANSWER = """
update predictions set actual_group = %(group)s, actual_by = %(by)s, actual_at = now() where id = %(id)s
returning "group"
"""
# The newest decision of a ticket against the newest word on where it belonged.
PERFORMANCE: LiteralString = """
with decided as (
    select distinct on (ticket_id) ticket_id, "group", band, shadow, (decision ->> 'latency_ms')::float as latency_ms
    from decisions where decided_at > now() - make_interval(days => %(days)s) order by ticket_id, id desc
), judged as (
    select d.*, l."group" as actual from decided d left join lateral (
        select "group" from labels where ticket_id = d.ticket_id order by at desc limit 1) l on true
)
select count(*)::int as tickets,
       count(*) filter (where band = 'AUTO_ROUTE')::int as auto_route,
       count(*) filter (where band = 'HUMAN_REVIEW')::int as human_review,
       count(*) filter (where band = 'ESCALATE')::int as escalate,
       count(actual)::int as judged,
       count(*) filter (where actual = "group")::int as judged_right,
       count(actual) filter (where band = 'AUTO_ROUTE')::int as auto_judged,
       count(*) filter (where band = 'AUTO_ROUTE' and actual = "group")::int as auto_right,
       percentile_cont(0.5) within group (order by latency_ms) as latency_p50_ms,
       percentile_cont(0.95) within group (order by latency_ms) as latency_p95_ms,
       (select coalesce(sum(usd), 0)::float from llm_calls where at > now() - make_interval(days => %(days)s)) as usd
from judged
"""
PREDICTIONS = """
select count(*)::int as predictions, count(actual_group)::int as judged,
       count(*) filter (where actual_group = "group")::int as judged_right
from predictions where at > now() - make_interval(days => %(days)s)
"""
WINDOW = """
select "group", confidence, model_version from decisions
where decided_at > now() - make_interval(days => %(from)s) and decided_at <= now() - make_interval(days => %(to)s)
order by decided_at desc limit %(most)s
"""


class SlaHours(BaseModel):
    """What the group's closed tickets took, from opening to solution: half of them, nine in ten."""

    median: float
    low: float = Field(description="a tenth were faster")
    high: float = Field(description="a tenth took longer")
    from_tickets: int


class Judged(BaseModel):
    """`right` of the `known`; `share` is None while nothing is known."""

    known: int
    right: int
    share: float | None


class Savings(BaseModel):
    """
    Hours that automatic routes saved: each right one `minutes_saved_per_ticket`, each wrong one cost
    `correction_minutes`. Only how many were right is measured; the minutes are the caller's assumption.
    """

    minutes_saved_per_ticket: float
    correction_minutes: float
    hours: float | None = Field(description="None while no automatic route has been judged")


class Stats(BaseModel):
    """Of the tickets decided in the window. A ticket is judged once a person or its closing said where it belonged."""

    days: int
    tickets: int
    bands: dict[str, int]
    automation_rate: float | None
    accuracy: Judged
    accuracy_automatic: Judged
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    model_usd: float
    predictions: int
    predictions_accuracy: Judged
    savings: Savings


class Window(BaseModel):
    """`decisions`: how many were looked at, the newest of the window first, at most 20,000."""

    from_days_ago: int
    to_days_ago: int
    decisions: int
    model_versions: list[str]
    groups: dict[str, int]
    median_confidence: float | None


class DriftTest(BaseModel):
    """`has_shifted` needs both a small `p` and an effect worth looking at; None where there is too little to say."""

    name: Literal["labels", "confidence"]
    test: Literal["chi-squared", "Kolmogorov-Smirnov"]
    statistic: float | None = None
    p: float | None = None
    effect_name: Literal["Cramer's V", "Cliff's delta"]
    effect: float | None = None
    has_shifted: bool | None = None


class Drift(BaseModel):
    """The present window against the one before it."""

    verdict: Literal["stable", "shifted", "too few decisions"]
    now: Window
    before: Window
    tests: list[DriftTest]


async def sla_hours(conn: Connection, groups: Sequence[str | None]) -> dict[str, SlaHours]:
    """By group; groups of which too few closed tickets say how long they took are left out."""
    values = {"groups": sorted({group for group in groups if group}), "most": SLA_TICKETS_MAX}
    rows = await (await conn.execute(SLA, values)).fetchall()
    return {row["name"]: _sla(row) for row in rows if row["tickets"] >= SLA_TICKETS_MIN}


async def keep(conn: Connection, caller: str, answered: Sequence[tuple[UUID, Decision]]) -> None:
    """The answers without their text, for `give_feedback` and `stats`."""
    rows = [(id, caller, one.group, one.band, one.confidence, one.model_version) for id, one in answered]
    async with conn.cursor() as cursor:
        await cursor.executemany(KEEP, rows)


async def judge(conn: Connection, prediction: UUID, group: str, by: str) -> bool:
    """
    Notes which group was right; whether it was the predicted one.

    Raises:
        NotFound: no such prediction.
    """
    row = await (await conn.execute(ANSWER, {"id": prediction, "group": group, "by": by})).fetchone()
    if row is None:
        raise NotFound(f"There is no prediction {prediction}. Its id is in the answer of /predict.")
    return row["group"] == group


async def stats(conn: Connection, days: int, *, saved_minutes: float, correction_minutes: float) -> Stats:
    found = await _one(conn, PERFORMANCE, {"days": days})
    asked = await _one(conn, PREDICTIONS, {"days": days})
    automatic = _judged(found["auto_judged"], found["auto_right"])
    minutes = None
    if automatic.share is not None:
        minutes = found["auto_route"] * (automatic.share * saved_minutes - (1 - automatic.share) * correction_minutes)
    return Stats(
        days=days,
        tickets=found["tickets"],
        bands={name.upper(): found[name] for name in ("auto_route", "human_review", "escalate")},
        automation_rate=found["auto_route"] / found["tickets"] if found["tickets"] else None,
        accuracy=_judged(found["judged"], found["judged_right"]),
        accuracy_automatic=automatic,
        latency_p50_ms=found["latency_p50_ms"],
        latency_p95_ms=found["latency_p95_ms"],
        model_usd=found["usd"],
        predictions=asked["predictions"],
        predictions_accuracy=_judged(asked["judged"], asked["judged_right"]),
        savings=Savings(
            minutes_saved_per_ticket=saved_minutes,
            correction_minutes=correction_minutes,
            hours=None if minutes is None else round(minutes / 60, 2),
        ),
    )


async def find_drift(conn: Connection, *, now_days: int, before_days: int) -> Drift:
    """The last `now_days` against the `before_days` before them."""
    now = await _window(conn, now_days, 0)
    before = await _window(conn, now_days + before_days, now_days)
    is_enough = min(len(now), len(before)) >= shifts.ROWS_MIN
    tests = [_label_test(before, now, is_enough), _confidence_test(before, now, is_enough)]
    shifted = any(test.has_shifted for test in tests)
    return Drift(
        verdict=("shifted" if shifted else "stable") if is_enough else "too few decisions",
        now=_shown(now, now_days, 0),
        before=_shown(before, now_days + before_days, now_days),
        tests=tests,
    )


def _label_test(before: Sequence[DictRow], now: Sequence[DictRow], is_enough: bool) -> DriftTest:
    blank = DriftTest(name="labels", test="chi-squared", effect_name="Cramer's V")
    if not is_enough:
        return blank
    shift = shifts.label_shift([_group(row) for row in before], [_group(row) for row in now])
    return blank.model_copy(update=_told(shift, shifts.SMALL_V))


def _confidence_test(before: Sequence[DictRow], now: Sequence[DictRow], is_enough: bool) -> DriftTest:
    blank = DriftTest(name="confidence", test="Kolmogorov-Smirnov", effect_name="Cliff's delta")
    if not is_enough:
        return blank
    shift = shifts.confidence_shift([row["confidence"] for row in before], [row["confidence"] for row in now])
    return blank.model_copy(update=_told(shift, shifts.SMALL_DELTA))


def _told(shift: shifts.Shift, small: float) -> dict[str, Any]:
    has_shifted = shift.p < shifts.P_MAX and abs(shift.effect) >= small
    return {"statistic": shift.statistic, "p": shift.p, "effect": shift.effect, "has_shifted": has_shifted}


def _shown(rows: Sequence[DictRow], from_days: int, to_days: int) -> Window:
    confidences = sorted(row["confidence"] for row in rows)
    return Window(
        from_days_ago=from_days,
        to_days_ago=to_days,
        decisions=len(rows),
        model_versions=sorted({row["model_version"] for row in rows if row["model_version"]}),
        groups=dict(Counter(map(_group, rows)).most_common()),
        median_confidence=confidences[len(confidences) // 2] if confidences else None,
    )


def _group(row: DictRow) -> str:
    return row["group"] or "(none)"


async def _window(conn: Connection, from_days: int, to_days: int) -> list[DictRow]:
    values = {"from": from_days, "to": to_days, "most": SAMPLE_MAX}
    return await (await conn.execute(WINDOW, values)).fetchall()


async def _one(conn: Connection, query: LiteralString, values: dict[str, Any]) -> DictRow:
    row = await (await conn.execute(query, values)).fetchone()
    assert row is not None  # an aggregate always has a row
    return row


def _judged(known: int, right: int) -> Judged:
    return Judged(known=known, right=right, share=right / known if known else None)


def _sla(row: DictRow) -> SlaHours:
    low, median, high = (round(float(hours), 2) for hours in row["hours"])
    return SlaHours(median=median, low=low, high=high, from_tickets=row["tickets"])
