"""What model calls cost, per ticket, and answers kept for the same question. SQL only; callers commit."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, LiteralString, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from services.core.contracts.priority import PriorityAnswer, PriorityQuestion, SummaryAnswer, SummaryQuestion
from services.core.llm.port import Task, Usage

Answer = TypeVar("Answer", PriorityAnswer, SummaryAnswer)

CACHE_MAX_AGE = timedelta(days=30)  # a storm of like tickets lasts hours; longer only keeps text about

RECORD = """
insert into llm_calls (ticket_id, workflow_id, step, task, model, prompt_version,
                       input_tokens, output_tokens, usd, latency_ms, outcome, repairs)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (workflow_id, step) do nothing
returning id
"""
SPENT_TODAY = """
select coalesce(sum(usd), 0) from llm_calls where at >= date_trunc('day', now(), 'UTC')
"""
SPENT_ON = "select coalesce(sum(usd), 0) from llm_calls where ticket_id = %s"
SUMS: LiteralString = """
select coalesce(sum(usd), 0) as usd,
       coalesce(sum(input_tokens + output_tokens) filter (where task = 'answer'), 0) as answer_tokens from llm_calls
"""
OF_TODAY = SUMS + "where at >= date_trunc('day', now(), 'UTC')"
OF_ONE = SUMS + "where ticket_id = %s"
# The model took its time: meanwhile the ticket may have been erased. The lock keeps an erasure waiting.
REMEMBER = """
with ticket as (select state from tickets where id = %(row)s::bigint for share)
insert into llm_cache (key, ticket_id, answer) select %(key)s, %(ticket_id)s, %(answer)s
where not exists (select from ticket where state = 'erased')
on conflict (key) do nothing
"""
RECALL = "select answer from llm_cache where key = %s and at > now() - %s::interval"
PRUNE = "delete from llm_cache where at <= now() - %s::interval"
FORGET = "delete from llm_cache where ticket_id = %s"


@dataclass(frozen=True)
class Origin:
    """Which step of which workflow asks: `workflow_id` + `step` is the idempotency key of the bill."""

    ticket_id: str
    workflow_id: str
    step: str


@dataclass(frozen=True)
class Call:
    origin: Origin
    task: Task
    usage: Usage


@dataclass(frozen=True)
class Spent:
    """USD of all tasks, tokens of conversations."""

    usd: Decimal
    answer_tokens: int


async def record(conn: AsyncConnection[Any], call: Call) -> bool:
    """Bills a call; False when this step was billed before."""
    origin, usage = call.origin, call.usage
    row = (
        *(origin.ticket_id, origin.workflow_id, origin.step, call.task),
        *(usage.model, usage.prompt_version, usage.input_tokens, usage.output_tokens, usage.usd),
        *(usage.latency_ms, usage.outcome, usage.repairs),
    )
    cursor = await conn.execute(RECORD, row)
    return await cursor.fetchone() is not None


async def spent(conn: AsyncConnection[Any], ticket_id: str | None = None) -> Spent:
    """Since midnight UTC, or for one ticket or conversation, ever."""
    cursor = conn.cursor(row_factory=tuple_row)
    await (cursor.execute(OF_TODAY) if ticket_id is None else cursor.execute(OF_ONE, (ticket_id,)))
    row = await cursor.fetchone()
    return Spent(Decimal(row[0]), int(row[1])) if row else Spent(Decimal(0), 0)


async def spent_today(conn: AsyncConnection[Any]) -> Decimal:
    """USD since midnight UTC. Calls without a known price do not count: a budget needs priced models."""
    return await _sum(conn, SPENT_TODAY, ())


async def spent_on(conn: AsyncConnection[Any], ticket_id: str) -> Decimal:
    """USD for one ticket, ever."""
    return await _sum(conn, SPENT_ON, (ticket_id,))


def cache_key(model: str, prompt_version: str | None, question: PriorityQuestion | SummaryQuestion) -> str:
    """The hash of everything the answer depends on; the ticket's id is no part of it."""
    asked = question.model_dump(mode="json", exclude={"ticket_id"})
    text = json.dumps([model, prompt_version, type(question).__name__, asked], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


async def remember(
    conn: AsyncConnection[Any], key: str, origin: Origin, answer: PriorityAnswer | SummaryAnswer
) -> None:
    """Keeps an answer for the same question, unless the ticket was erased since."""
    row = int(origin.ticket_id) if origin.ticket_id.isdecimal() else None
    values = {"key": key, "ticket_id": origin.ticket_id, "row": row, "answer": Jsonb(answer.model_dump(mode="json"))}
    await conn.execute(REMEMBER, values)


async def recall(conn: AsyncConnection[Any], key: str, kind: type[Answer]) -> Answer | None:
    """The kept answer, unless it is older than thirty days."""
    cursor = await conn.cursor(row_factory=tuple_row).execute(RECALL, (key, CACHE_MAX_AGE))
    row = await cursor.fetchone()
    return kind.model_validate(row[0], extra="ignore") if row else None


async def forget(conn: AsyncConnection[Any], ticket_id: str) -> int:
    """Erasure: the answers a ticket paid for; returns how many. The bill stays, it holds no text."""
    return (await conn.execute(FORGET, (ticket_id,))).rowcount


async def prune(conn: AsyncConnection[Any]) -> int:
    """Removes answers past their age; returns how many."""
    return (await conn.execute(PRUNE, (CACHE_MAX_AGE,))).rowcount


async def _sum(conn: AsyncConnection[Any], query: LiteralString, values: tuple[str, ...]) -> Decimal:
    cursor = await conn.cursor(row_factory=tuple_row).execute(query, values)
    row = await cursor.fetchone()
    return Decimal(row[0]) if row else Decimal(0)
