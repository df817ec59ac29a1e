"""Redaction of tickets of any length, side by side, and of what a model answers."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from psycopg_pool import AsyncConnectionPool

from services.core.contracts.priority import LabelText, PriorityQuestion, SummaryQuestion
from services.core.kit.database import build_pool
from services.core.llm.build import build_llm
from services.core.llm.ledger import Origin
from services.core.llm.metered import MeteredLlm
from services.core.llm.redaction import Redaction
from services.core.text.redact import Redactor, build_redactor
from services.core.text.slices import FIELD_MAX_CHARS, SLICE_CHARS, TICKET_MAX_CHARS
from tests.services.core.llm.conftest import config_for
from tests.services.core.llm.stub_server import Says, Stub, stub_server

LETTER = (
    "Dear support team,\nmy VPN drops since Monday (case {n}). Reach me at mail{n}@example.com or 10.1.7.{n}.\n"
    "Kind regards\nAnna Kreutzmann\n\n"
)
SMALL = {"subject": "VPN", "body": "It drops again, says jo.doe@example.com"}


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return build_redactor()


def long_body(chars: int) -> str:
    letters, size, n = [], 0, 0
    while size < chars:
        letters.append(LETTER.format(n=n % 250))
        size, n = size + len(letters[-1]), n + 1
    return "".join(letters)[:chars]


async def test_a_ticket_of_one_mebibyte_costs_a_bounded_amount(redactor: Redactor):
    """Beginning and end are redacted whole, across slices; what is left out is said and nowhere in the result."""
    body = "The head.\n" + long_body(1_048_000) + "\nThe tail is known to ana@example.com."
    safe = await Redaction(redactor).redact({"subject": "Mail of Anna Kreutzmann", "body": body})
    found = safe.fields["body"]
    assert len(found) < FIELD_MAX_CHARS + 30_000
    assert found.startswith("The head.")
    assert "characters left out" in found
    assert re.search(r"The tail is known to <EMAIL_ADDRESS_\d+>\.$", found)
    assert not re.search(r"@example\.com|10\.1\.7\.\d|Kreutzmann", found)
    assert sum(value == "mail7@example.com" for value in safe.vault.values()) == 1


async def test_all_fields_together_are_bounded(redactor: Redactor):
    """A conversation of very many comments: the first fields whole, the last ones left out but for their note."""
    fields = {f"c{n}": "word " * 12_000 for n in range(40)}
    safe = await Redaction(redactor).redact(fields)
    assert sum(map(len, safe.fields.values())) < TICKET_MAX_CHARS + 40 * 60
    assert len(safe.fields["c0"]) > 50_000
    assert "characters left out" in safe.fields["c39"]


async def test_slices_say_what_one_piece_says(redactor: Redactor):
    """A name that a later slice gives away is hidden in the earlier ones; numbering runs through."""
    filler = "The printer on floor three prints nothing but stripes.\n\n" * 200
    body = f"Kreutzmann asked twice.\n\n{filler}Kind regards\nAnna Kreutzmann\n"
    assert len(body) > SLICE_CHARS
    safe = await Redaction(redactor).redact({"subject": "Printer", "body": body})
    assert "Kreutzmann" not in safe.fields["body"]
    assert "stripes" in safe.fields["body"]


async def test_a_literal_placeholder_of_the_sender_is_never_given_out(redactor: Redactor):
    """It stands in a later slice, and none of ours may look like it."""
    body = "Write to ana@example.com.\n\n" + "Nothing to see in this line.\n\n" * 400 + "<EMAIL_ADDRESS_1> is mine."
    safe = await Redaction(redactor).redact({"subject": "x", "body": body})
    assert "<EMAIL_ADDRESS_1>" not in safe.vault
    assert "ana@example.com" in safe.vault.values()


async def test_a_small_ticket_overtakes_long_ones(redactor: Redactor):
    """Two tickets of 1 MiB are under way; one that comes after them is done before any of them."""
    redaction, order = Redaction(redactor), []

    async def redact(name: str, fields: dict[str, str]) -> None:
        await redaction.redact(fields)
        order.append(name)

    long = [asyncio.create_task(redact("long", {"subject": "x", "body": long_body(1_048_576)})) for _ in range(2)]
    await asyncio.sleep(0)
    await redact("small", SMALL)
    assert order == ["small"]
    await asyncio.gather(*long)
    assert order == ["small", "long", "long"]


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncConnectionPool]:
    async with build_pool(database, min_size=1) as opened:
        yield opened


OBEDIENT = (
    "<PERSON_1> waits. Call Bernd Kowalczyk on +49 171 2345678 or mail b.kowalczyk@evil.example <script>alert(1)"
    "</script><img src=x onerror=alert(1)> \x1b[31mred\u202e &lt;script&gt;x&lt;/script&gt; <svg/onload=alert(1)"
)
ORIGIN = Origin(ticket_id="7", workflow_id="new-7", step="priority")


@pytest.fixture
def stub():
    with stub_server() as server:
        yield server


async def stored(pool: AsyncConnectionPool) -> str:
    async with pool.connection() as conn:
        rows = await (await conn.execute("select answer::text as answer from llm_cache")).fetchall()
    return "".join(row["answer"] for row in rows)


def check(text: str) -> None:
    assert not re.search(r"2345678|kowalczyk|Kowalczyk|evil\.example|script|onerror|onload|\x1b|\\u001b|\u202e", text)


async def test_what_a_model_answers_is_treated_like_any_input(
    redactor: Redactor, pool: AsyncConnectionPool, stub: Stub
):
    """An obedient model's phone number, mail and markup reach neither the answer nor the table of kept answers."""
    stub.script(Says({"impact": "low", "urgency": "low", "priority": "low", "reason": OBEDIENT}))
    metered = MeteredLlm(build_llm(config_for("azure", stub)), pool, Redaction(redactor).hide_in_answer)
    labels = tuple(LabelText(name=name) for name in ("low", "normal"))
    question = PriorityQuestion(ticket_id="7", subject="Login", body="<PERSON_1> cannot log in", labels=labels)
    reason = (await metered.prioritise(question, ORIGIN)).answer.reason
    check(reason + await stored(pool))
    assert "phone" in reason
    assert "<PERSON_1> waits." in reason


async def test_what_a_model_summarises_is_treated_like_any_input(
    redactor: Redactor, pool: AsyncConnectionPool, stub: Stub
):
    """Issue, actions, tags and references alike; what the redacted ticket says itself may be said again."""
    note = {"issue": OBEDIENT, "actions": "Kreutzmann reset KB0012345 " + OBEDIENT, "tags": ["Kowalczyk", "vpn"]}
    stub.script(Says(note | {"references": ["KB0012345", "+49 171 2345678"]}))
    metered = MeteredLlm(build_llm(config_for("azure", stub)), pool, Redaction(redactor).hide_in_answer)
    question = SummaryQuestion(ticket_id="7", subject="vpn", body="Drops. KB0012345 is known.", comments=())
    answer = (await metered.summarise(question, ORIGIN)).answer
    check(answer.model_dump_json() + await stored(pool))
    assert answer.tags == ("vpn",)
    assert answer.references == ("KB0012345",)
    assert "KB0012345" in answer.actions
