"""Bill, budget and cache against a real database and a stub of the vendor over real HTTP."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest
from psycopg_pool import AsyncConnectionPool

from services.core.contracts.priority import PriorityAnswer
from services.core.kit.database import build_pool
from services.core.kit.errors import DatabaseUnavailable, LlmUnavailable
from services.core.llm.build import build_llm
from services.core.llm.config import LlmConfig
from services.core.llm.ledger import CACHE_MAX_AGE, Call, Origin, forget, prune, record, spent_on, spent_today
from services.core.llm.metered import MeteredLlm
from services.core.llm.port import Usage
from tests.services.core.llm.conftest import config_for
from tests.services.core.llm.stub_server import Fails, Says

ORIGIN = Origin(ticket_id="T-1", workflow_id="new-T-1", step="prioritise")
GOOD = {"impact": "medium", "urgency": "high", "priority": "high", "reason": "The portal is slow."}
COST = Decimal("0.00045")  # 1,000 tokens in and 100 out on gpt-5-mini


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncConnectionPool]:
    async with build_pool(database, min_size=1) as opened:
        yield opened


async def unchanged(texts: tuple[str, ...], source: str) -> tuple[str, ...]:
    """For tests about money; tests/services/worker/test_redaction.py has the real one."""
    return texts


@pytest.fixture
def metered(stub, pool) -> MeteredLlm:
    stub.script(Says(GOOD))
    return MeteredLlm(build_llm(config_for("azure", stub)), pool, unchanged)


async def rows(pool: AsyncConnectionPool, query: str) -> list[dict]:
    async with pool.connection() as conn:
        return await (await conn.execute(query)).fetchall()


async def test_a_call_is_billed_with_model_prompt_tokens_and_dollars(metered, pool, question):
    await metered.prioritise(question, ORIGIN)
    (row,) = await rows(pool, "select * from llm_calls")
    assert (row["ticket_id"], row["task"]) == ("T-1", "priority")
    assert (row["model"], row["prompt_version"], row["outcome"]) == ("azure:gpt-5-mini", "priority/v1", "answered")
    assert (row["input_tokens"], row["output_tokens"], row["usd"]) == (1_000, 100, COST)


async def test_a_step_that_runs_again_is_billed_and_asked_once(metered, pool, stub, question):
    """At-least-once steps: the second run finds the kept answer and the bill."""
    first = await metered.prioritise(question, ORIGIN)
    second = await metered.prioritise(question, ORIGIN)
    assert first.answer == second.answer
    assert len(stub.asked) == 1
    assert len(await rows(pool, "select 1 from llm_calls")) == 1


async def test_the_same_text_of_another_ticket_costs_nothing(metered, pool, stub, question):
    """A storm of like tickets is paid for once; the bill says 'cached'."""
    await metered.prioritise(question, ORIGIN)
    other = Origin("T-2", "new-T-2", "prioritise")
    answered = await metered.prioritise(question.model_copy(update={"ticket_id": "T-2"}), other)
    assert (answered.usage.outcome, answered.usage.usd, len(stub.asked)) == ("cached", Decimal(0), 1)
    assert answered.answer.by == "azure:gpt-5-mini"
    async with pool.connection() as conn:
        assert await spent_on(conn, "T-1") == COST
        assert await spent_on(conn, "T-2") == 0


@pytest.mark.parametrize("change", ["body", "labels"])
async def test_the_cache_never_answers_another_question(metered, stub, question, change):
    """Other words or another label catalogue: asked anew."""
    await metered.prioritise(question, ORIGIN)
    asked = {
        "body": question.model_copy(update={"body": "Something else."}),
        "labels": question.model_copy(update={"labels": question.labels[1:]}),
    }[change]
    await metered.prioritise(asked, Origin("T-2", "new-T-2", "prioritise"))
    assert len(stub.asked) == 2


async def test_over_budget_the_rules_answer_and_say_why(stub, pool, question):
    """The budget is 0.00045: the first call spends it, the second is not sent; tomorrow it may."""
    stub.script(Says(GOOD))
    metered = MeteredLlm(build_llm(config_for("azure", stub)), pool, unchanged, budget_usd_per_day=COST)
    await metered.prioritise(question, ORIGIN)
    other = question.model_copy(update={"body": "All users cannot work, the portal is down."})
    stopped = await metered.prioritise(other, Origin("T-2", "new-T-2", "prioritise"))
    assert (stopped.answer.by, stopped.usage.outcome, len(stub.asked)) == ("fallback", "over_budget", 1)
    assert "budget" in stopped.answer.reason
    async with pool.connection() as conn:
        await conn.execute("update llm_calls set at = at - interval '1 day'")
    await metered.prioritise(other, Origin("T-4", "new-T-4", "prioritise"))
    assert len(stub.asked) == 2


async def test_a_budget_of_zero_sends_nothing(stub, pool, question):
    stub.script(Says(GOOD))
    metered = MeteredLlm(build_llm(config_for("azure", stub)), pool, unchanged, budget_usd_per_day=Decimal(0))
    assert (await metered.prioritise(question, ORIGIN)).usage.outcome == "over_budget"
    assert stub.asked == []


async def test_a_fallback_is_billed_and_not_kept(metered, pool, stub, question):
    """The tokens of three useless answers were paid; the next ticket gets a chance of a real answer."""
    stub.script(Says("nonsense"))
    answered = await metered.prioritise(question, ORIGIN)
    assert answered.answer.by == "fallback"
    (row,) = await rows(pool, "select outcome, repairs, usd from llm_calls")
    assert (row["outcome"], row["repairs"], row["usd"]) == ("fallback", 2, 3 * COST)
    assert await rows(pool, "select 1 from llm_cache") == []


async def test_a_vendor_that_is_down_is_neither_billed_nor_hidden(metered, pool, stub, question):
    stub.script(Fails(503))
    with pytest.raises(LlmUnavailable):
        await metered.prioritise(question, ORIGIN)
    assert await rows(pool, "select 1 from llm_calls") == []


async def test_the_extractive_default_costs_nothing_and_fills_no_table(pool, solved):
    metered = MeteredLlm(build_llm(LlmConfig()), pool, unchanged)
    answered = await metered.summarise(solved, Origin("T-1", "solved-T-1", "summarise"))
    assert (answered.answer.by, answered.usage.usd) == ("extractive", 0)
    assert await rows(pool, "select 1 from llm_calls") == []
    assert await rows(pool, "select 1 from llm_cache") == []


async def test_a_summary_is_billed_and_kept_beside_the_priority_of_the_same_workflow(
    metered, pool, stub, question, solved
):
    """Two steps of one workflow are two calls."""
    await metered.prioritise(question, ORIGIN)
    stub.script(Says({"issue": "VPN failed.", "actions": "", "tags": [], "references": []}))
    step = Origin("T-1", ORIGIN.workflow_id, "summarise")
    assert await metered.summarise(solved, step) != await metered.summarise(
        solved, step
    )  # the second comes from the cache
    assert [row["task"] for row in await rows(pool, "select task from llm_calls order by id")] == [
        "priority",
        "summary",
    ]
    assert len(stub.asked) == 2


async def test_erasing_a_ticket_removes_its_answers(metered, pool, question):
    await metered.prioritise(question, ORIGIN)
    async with pool.connection() as conn:
        assert await forget(conn, "T-2") == 0
        assert await forget(conn, "T-1") == 1
    assert await rows(pool, "select 1 from llm_cache") == []


@pytest.mark.parametrize(("age", "asked"), [(CACHE_MAX_AGE - timedelta(minutes=1), 1), (CACHE_MAX_AGE, 2)])
async def test_an_answer_is_kept_for_thirty_days(metered, pool, stub, question, age, asked):
    await metered.prioritise(question, ORIGIN)
    async with pool.connection() as conn:
        await conn.execute("update llm_cache set at = now() - %s::interval", (age,))
    await metered.prioritise(question, Origin("T-2", "new-T-2", "prioritise"))
    assert len(stub.asked) == asked
    async with pool.connection() as conn:
        assert await prune(conn) == asked - 1


async def test_costs_add_up(pool):
    """Parts sum to the total, exactly, and a call without a price counts as nothing."""
    usages = [Usage("m", usd=Decimal("0.00000001")), Usage("m", usd=Decimal("0.1")), Usage("m", usd=None)]
    async with pool.connection() as conn:
        for number, usage in enumerate(usages):
            assert await record(conn, Call(Origin("T", "w", str(number)), "priority", usage))
        assert not await record(conn, Call(Origin("T", "w", "0"), "priority", usages[1]))
        assert await spent_today(conn) == Decimal("0.10000001")


async def test_a_ledger_that_is_gone_stops_the_step_before_the_vendor_is_paid(metered, pool, stub, question):
    await pool.close()
    with pytest.raises(DatabaseUnavailable):
        await metered.prioritise(question, ORIGIN)
    assert stub.asked == []


async def test_a_kept_answer_is_the_answer(metered, pool, question):
    """What comes out of the database equals what went in, field by field."""
    first = await metered.prioritise(question, ORIGIN)
    (row,) = await rows(pool, "select answer from llm_cache")
    assert PriorityAnswer.model_validate(row["answer"]) == first.answer
