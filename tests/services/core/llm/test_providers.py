"""Four providers against a stub over real HTTP: structure, repair, fallback, bill, failures."""

import asyncio
import time
from decimal import Decimal

import pytest

from services.core.contracts.priority import LabelText
from services.core.contracts.ticket import Priority
from services.core.kit.errors import ConfigurationInvalid, InputInvalid, LlmUnavailable
from services.core.llm.build import build_llm
from services.core.llm.config import Endpoint, LlmConfig, ModelPrice
from services.core.llm.prices import price_of, read_prices
from tests.services.core.llm.conftest import MODELS, config_for
from tests.services.core.llm.stub_server import INPUT_TOKENS, OUTPUT_TOKENS, Fails, Garbage, Hangs, Says

GOOD = {"impact": "medium", "urgency": "high", "priority": "high", "reason": "The team's portal is slow."}
INVENTED = {**GOOD, "priority": "P1"}
NOTE = {
    "issue": "The VPN client failed with error 809.",
    "actions": "The firewall rule was reset.",
    "tags": ["VPN client", "error"],
    "references": ["KB0012345"],
}


async def test_each_provider_answers_in_the_contract(config, stub, question):
    """The model's impact and urgency, the matrix's priority, the model's name and the prompt's version."""
    stub.script(Says(GOOD))
    answered = await build_llm(config).prioritiser.prioritise(question)
    assert answered.answer.model_dump() == {
        "priority": Priority.HIGH,
        "impact": "medium",
        "urgency": "high",
        "reason": "The team's portal is slow.",
        "by": config.priority,
        "prompt_version": "priority/v1",
    }
    assert len(stub.asked) == 1


async def test_each_provider_summarises(config, stub, solved):
    stub.script(Says(NOTE))
    answer = (await build_llm(config).summariser.summarise(solved)).answer
    assert (answer.issue, answer.actions) == (NOTE["issue"], NOTE["actions"])
    assert answer.tags == ("vpn client", "error")
    assert answer.references == ("KB0012345",)
    assert answer.by == config.summary


async def test_tokens_and_dollars_are_the_vendors_count_times_the_list_price(config, stub, question):
    """1,000 tokens in and 100 out, at the price of the model; a model without a price costs 'unknown', not 0."""
    stub.script(Says(GOOD))
    usage = (await build_llm(config).prioritiser.prioritise(question)).usage
    assert (usage.input_tokens, usage.output_tokens, usage.repairs) == (INPUT_TOKENS, OUTPUT_TOKENS, 0)
    expected = {"openai": None, "azure": "0.00045", "bedrock": "0.000049", "vertex": "0.00055"}
    wanted = expected[config.priority.partition(":")[0]]
    assert usage.usd == (Decimal(wanted) if wanted else None)
    assert usage.latency_ms > 0


async def test_only_the_offered_labels_are_in_the_structure_sent(config, stub, question):
    """The enumeration the vendor enforces holds the offered labels and nothing else."""
    stub.script(Says({**GOOD, "priority": "urgent"}))
    offered = (LabelText(name="low"), LabelText(name="urgent"))
    answered = await build_llm(config).prioritiser.prioritise(question.model_copy(update={"labels": offered}))
    assert '"enum": ["low", "urgent"]' in stub.asked[0].text
    assert '"normal"' not in stub.asked[0].text
    assert answered.answer.priority == Priority.URGENT


async def test_an_invented_label_is_repaired(config, stub, question):
    """The first answer is outside the enumeration, the second fits: one repair, both billed."""
    stub.script(Says(INVENTED), Says(GOOD))
    answered = await build_llm(config).prioritiser.prioritise(question)
    assert answered.answer.by == config.priority
    assert (answered.usage.repairs, answered.usage.input_tokens) == (1, 2 * INPUT_TOKENS)
    assert len(stub.asked) == 2


@pytest.mark.parametrize("bad", [Says(INVENTED), Says("no JSON {"), Says({"impact": "huge"}), Says("")])
async def test_after_the_last_repair_the_rules_answer_and_say_so(config, stub, question, bad):
    """Three requests (one and two repairs), then by='fallback' with the reason; every attempt is billed."""
    stub.script(bad)
    answered = await build_llm(config).prioritiser.prioritise(question)
    assert len(stub.asked) == 3
    assert answered.answer.by == "fallback"
    assert " after 2 repairs" in answered.answer.reason
    assert answered.answer.prompt_version is None
    assert (answered.usage.outcome, answered.usage.input_tokens) == ("fallback", 3 * INPUT_TOKENS)


async def test_a_summary_that_never_fits_falls_back_to_the_tickets_own_words(config, stub, solved):
    stub.script(Says({"issue": ""}))
    answered = await build_llm(config).summariser.summarise(solved)
    assert answered.answer.by == "fallback"
    assert answered.answer.actions == "I have reset the firewall rule per KB0012345."


@pytest.mark.parametrize("repairs", [0, 1])
async def test_the_number_of_repairs_is_configuration(stub, question, repairs):
    stub.script(Says(INVENTED))
    config = config_for("openai", stub, max_repairs=repairs)
    await build_llm(config).prioritiser.prioritise(question)
    assert len(stub.asked) == repairs + 1


async def test_an_answer_that_contradicts_itself_is_asked_again(stub, question):
    """High impact and high urgency with priority low: one of them is wrong."""
    stub.script(Says({**GOOD, "impact": "high", "priority": "low"}), Says(GOOD))
    answered = await build_llm(config_for("openai", stub)).prioritiser.prioritise(question)
    assert (answered.usage.repairs, answered.answer.priority) == (1, Priority.HIGH)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_vendor_that_is_down_is_unavailable_after_one_request(config, stub, question, status):
    """Retrying is the workflow's: no hidden retries of the vendor's library."""
    stub.script(Fails(status))
    with pytest.raises(LlmUnavailable) as caught:
        await build_llm(config).prioritiser.prioritise(question)
    assert caught.value.retryable
    assert len(stub.asked) == 1


@pytest.mark.parametrize("provider", ["openai", "azure", "vertex"])
async def test_the_wait_a_vendor_asks_for_is_passed_on(stub, question, provider):
    stub.script(Fails(429, {"Retry-After": "17"}))
    with pytest.raises(LlmUnavailable) as caught:
        await build_llm(config_for(provider, stub)).prioritiser.prioritise(question)
    assert caught.value.retry_after_s == 17


async def test_a_vendor_that_hangs_is_unavailable_when_the_time_is_up(config, stub, question):
    stub.script(Hangs())
    begin = time.monotonic()
    with pytest.raises(LlmUnavailable):
        await build_llm(config.model_copy(update={"timeout_s": 0.3})).prioritiser.prioritise(question)
    assert time.monotonic() - begin < 3


async def test_a_vendor_that_cannot_be_reached_is_unavailable(config, stub, question):
    stub.close()
    with pytest.raises(LlmUnavailable):
        await build_llm(config).prioritiser.prioritise(question)


async def test_a_body_that_is_no_json_never_becomes_an_answer(config, stub, question):
    """A proxy's error page with status 200: unavailable or the fallback, by the rules either way."""
    stub.script(Garbage())
    try:
        answered = await build_llm(config).prioritiser.prioritise(question)
    except LlmUnavailable:
        return
    assert answered.answer.by == "fallback"


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_vendor_that_refuses_us_is_a_configuration_error(config, stub, question, status):
    """No retry helps, and the message names the model and never the key."""
    stub.script(Fails(status))
    with pytest.raises(ConfigurationInvalid, match=config.priority) as caught:
        await build_llm(config).prioritiser.prioritise(question)
    assert not caught.value.retryable
    assert "key-of-the-test" not in str(caught.value)


async def test_a_request_the_vendor_rejects_falls_back(config, stub, question):
    """A content filter answers 400: that ticket is judged by the rules, the others are not held up."""
    stub.script(Fails(400))
    answered = await build_llm(config).prioritiser.prioritise(question)
    assert answered.answer.by == "fallback"
    assert "rejected the request" in answered.answer.reason
    assert len(stub.asked) == 1


async def test_after_failures_in_a_row_the_vendor_is_left_alone(stub, question):
    """The breaker: two failures allowed, the third call is refused without a request."""
    stub.script(Fails(500))
    prioritiser = build_llm(config_for("openai", stub, breaker_failures=2)).prioritiser
    for _ in range(4):
        with pytest.raises(LlmUnavailable) as caught:
            await prioritiser.prioritise(question)
    assert len(stub.asked) == 2
    assert caught.value.retry_after_s is not None


async def test_many_questions_at_once_each_get_their_own_answer(stub, question):
    stub.script(Says(GOOD))
    prioritiser = build_llm(config_for("openai", stub)).prioritiser
    subjects = [f"ticket {n}" for n in range(20)]
    await asyncio.gather(*(prioritiser.prioritise(question.model_copy(update={"subject": s})) for s in subjects))
    assert all(sum(f"subject\\n{s}\\n" in asked.text for asked in stub.asked) == 1 for s in subjects)


async def test_no_label_offered_is_an_error_before_anything_is_sent(stub, question):
    with pytest.raises(InputInvalid):
        await build_llm(config_for("openai", stub)).prioritiser.prioritise(question.model_copy(update={"labels": ()}))
    assert stub.asked == []


async def test_azure_is_asked_through_its_v1_path_with_the_key(stub, question):
    stub.script(Says(GOOD))
    await build_llm(config_for("azure", stub)).prioritiser.prioritise(question)
    assert stub.asked[0].path == "/openai/v1/chat/completions"
    assert stub.asked[0].headers["authorization"] == "Bearer key-of-the-test"


async def test_bedrock_is_asked_for_a_tool_call_and_signed(stub, question):
    """Nova fills a tool's arguments more reliably than it writes JSON."""
    stub.script(Says(GOOD))
    await build_llm(config_for("bedrock", stub)).prioritiser.prioritise(question)
    assert stub.asked[0].path == "/model/us.amazon.nova-micro-v1%3A0/converse"
    assert stub.asked[0].headers["authorization"].startswith("AWS4-HMAC-SHA256")
    assert "toolSpec" in stub.asked[0].text


@pytest.mark.parametrize(
    ("config", "hint"),
    [
        (LlmConfig(priority="openai:gpt-5-mini"), "POINTSMAN_LLM__OPENAI__BASE_URL"),
        (LlmConfig(priority="azure:mine"), "openai.azure.com"),
        (LlmConfig(priority="bedrock:amazon.nova-micro-v1:0", bedrock=Endpoint(api_key="x")), "identity"),  # ty: ignore[invalid-argument-type]
        (LlmConfig(priority="vertex:gemini-3.5-flash-lite"), "POINTSMAN_LLM__VERTEX__PROJECT"),
    ],
)
def test_a_provider_that_lacks_something_stops_the_start_with_an_example(config, hint):
    with pytest.raises(ConfigurationInvalid, match=hint):
        build_llm(config)


def test_bedrock_without_a_region_stops_the_start(monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(ConfigurationInvalid, match="REGION"):
        build_llm(LlmConfig(priority=MODELS["bedrock"]))


@pytest.mark.parametrize("name", ["gpt-5", "openai:", "anthropic:claude", "", "openai:a b"])
def test_a_model_without_a_known_provider_is_refused(name):
    with pytest.raises(ValueError, match="priority"):
        LlmConfig(priority=name)


def test_a_budget_needs_a_price(stub):
    """A model whose cost is unknown could spend without end; a server of one's own is priced at 0."""
    config = config_for("openai", stub, budget_usd_per_day=Decimal(1))
    with pytest.raises(ConfigurationInvalid, match="price"):
        build_llm(config)
    free = ModelPrice(usd_per_mtok_in=Decimal(0), usd_per_mtok_out=Decimal(0))
    assert build_llm(config.model_copy(update={"prices": {"openai:qwen3": free}})).prioritiser.model == "openai:qwen3"


def test_every_listed_price_has_a_source_and_is_plausible():
    """No zero, and output never cheaper than input."""
    prices = read_prices()
    assert len(prices) >= 10
    assert all(Decimal(0) < price.usd_per_mtok_in <= price.usd_per_mtok_out < 100 for price in prices.values())
    assert price_of("openai:nothing-known", {}) is None
