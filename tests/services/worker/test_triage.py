"""A new ticket's one step: routed when the router answers, a person's when not, once however often it runs."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.facts import digests
from services.core.contracts.ticket import Ticket
from services.core.kit.database import build_pool
from services.core.kit.intake import ingest
from services.core.llm.build import build_llm
from services.core.llm.config import LlmConfig
from services.core.llm.metered import MeteredLlm
from services.core.llm.redaction import Redaction
from services.core.models.client import AT_ONCE, RouterClient
from services.core.text.redact import Redactor, build_redactor
from services.trainer.repository import read_examples
from services.worker import steps
from services.worker.settings import WorkerSettings
from services.worker.steps import Outside
from tests.services.worker.served_router import ServedRouter


class Router(ServedRouter):
    """Answers each request with the next of `statuses`, then with 200."""

    def __init__(self) -> None:
        self.statuses: deque[int] = deque()
        super().__init__()

    def answer(self, texts: list[str]) -> tuple[int, dict[str, Any]]:
        status = self.statuses.popleft() if self.statuses else 200
        return status, routed(texts) if status == 200 else {"error": "not now"}


def routed(texts: list[str]) -> dict[str, Any]:
    """Each text's own group, so that one that is mixed up shows."""
    values = {"label": [text.split()[0] for text in texts], "band": ["AUTO_ROUTE"] * len(texts),
              "reason": ["ok"] * len(texts)}  # fmt: skip
    numbers = {name: [0.9] * len(texts) for name in ("probability", "confidence", "similarity")}
    outputs = [{"name": name, "data": data} for name, data in (values | numbers).items()]
    return {"model_version": "v1", "outputs": outputs}


@pytest.fixture
def router() -> Iterator[Router]:
    made = Router()
    yield made
    made.close()


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return build_redactor()


@pytest.fixture
async def outside(database: str, router: Router, redactor: Redactor) -> AsyncIterator[Outside]:
    """A worker that waits a second for its router, and one new ticket."""
    settings = WorkerSettings(database_url=SecretStr(database), router_patience_s=1)
    redaction = Redaction(redactor)
    async with build_pool(database, min_size=1, max_size=4) as pool, httpx.AsyncClient() as http:
        ticket = Ticket(connector="generic", external_id="A-1", subject="Network is slow", body="mail jo@example.com")
        delivery = Delivery(
            connector="generic", delivery_id="1", kind=DeliveryKind.CREATED, external_id="A-1", ticket=ticket
        )
        async with pool.connection() as conn:
            await conn.execute("insert into catalogue (kind, name) values ('group', 'Network')")
            await ingest(conn, delivery, body_sha256="")
        llm = MeteredLlm(build_llm(LlmConfig()), pool, redaction.hide_in_answer)
        yield Outside(settings, pool, {}, redaction, RouterClient(router.url, http, 60), llm)


async def decided(outside: Outside) -> list[tuple[str, str, str]]:
    query = "select workflow_id, band, decision ->> 'reason' as reason from decisions order by id"
    async with outside.pool.connection() as conn:
        return [tuple(row.values()) for row in await (await conn.execute(query)).fetchall()]


async def test_a_router_that_comes_back_in_time_routes(outside: Outside, router: Router) -> None:
    """It is asked again, with redacted text; run again after a kill, the step records nothing new."""
    router.statuses.extend([503])
    assert [await steps.triage(outside, 1, "new:1") for _ in range(2)] == ["AUTO_ROUTE", "AUTO_ROUTE"]
    assert await decided(outside) == [("new:1", "AUTO_ROUTE", "ok")]
    assert router.asked == [["Network is slow\nmail <EMAIL_ADDRESS_1>"]] * 3


async def test_what_is_known_beside_the_text_is_told_as_it_is_learnt(
    outside: Outside, router: Router, database: str
) -> None:
    """Organisation as a digest, the open tickets once a month of them is known; the trainer reads the same words."""
    said = {"organization_id": 4711, "site": " Hall  7", "channel": "Phone", "brand_id": None, "note": "x"}
    async with outside.pool.connection() as conn:
        await conn.execute("update raw.texts set ticket = jsonb_set(ticket, '{metadata}', %s)", (Jsonb(said),))
        await conn.execute("update tickets set created_at = now() - interval '31 days' where id = 1")
    await steps.triage(outside, 1, "new:1")
    (told,) = (json.loads(one)[0] for one in router.told)
    known = digests({"organisation": "4711", "place": "hall 7", "channel": "phone"})
    assert (told["categories"], told["queue"]) == (known, 1)
    assert "4711" not in router.told[0]
    with psycopg.connect(database) as conn:
        conn.execute("insert into labels (ticket_id, \"group\", source, at) values (1, 'Network', 'close', now())")
        (learnt,) = read_examples(conn)
    assert learnt.facts.categories == told["categories"]
    assert (learnt.facts.queue, learnt.targets.hours is not None) == (0, True)


@pytest.mark.parametrize(("statuses", "times"), [([503] * 9, 2), ([422], 1)], ids=["away", "refuses"])
async def test_without_an_answer_a_person_decides(
    outside: Outside, router: Router, statuses: list[int], times: int
) -> None:
    """A router that stays away is asked until the patience ends; a refusal is final at once."""
    router.statuses.extend(statuses)
    assert await steps.triage(outside, 1, "new:1") == "HUMAN_REVIEW"
    assert await decided(outside) == [("new:1", "HUMAN_REVIEW", "The router did not answer; a person decides.")]
    assert len(router.asked) == times


async def test_tickets_that_wait_are_asked_about_together(outside: Outside, router: Router) -> None:
    """As many at once as a request takes; each gets its own answer."""
    texts = [f"G{number} text" for number in range(AT_ONCE + 2)]
    found = await asyncio.gather(*map(outside.router.predict, texts))
    assert [prediction.group for prediction, _ in found] == [text.split()[0] for text in texts]
    assert [len(some) for some in router.asked] == [AT_ONCE, 2]


async def test_one_refused_text_takes_no_other_with_it(outside: Outside, router: Router) -> None:
    """A request that is refused is taken apart."""
    router.statuses.extend([422, 422])
    found = await asyncio.gather(*map(outside.router.predict, ("A x", "B x")), return_exceptions=True)
    assert [type(one).__name__ for one in found] == ["InputInvalid", "tuple"]
    assert router.asked == [["A x", "B x"], ["A x"], ["B x"]]


async def test_short_tickets_that_wait_are_read_in_one_call(redactor: Redactor) -> None:
    """The same placeholders as alone, and each ticket's own values."""
    redaction = Redaction(redactor)
    texts = [f"Please call Maria Garcia{number} or mail jo{number}@example.com" for number in range(12)]
    together = await asyncio.gather(*(redaction.redact({"body": text}) for text in texts))
    assert together == [redactor.redact_fields({"body": text}) for text in texts]
