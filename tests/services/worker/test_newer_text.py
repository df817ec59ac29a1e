"""Text that comes in while an older telling of the ticket is read: the newer one stays, and is what models see."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr

from services.core.connectors.port import Can, Connector
from services.core.connectors.settings import ConnectorSettings
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Ticket
from services.core.kit.database import Pool, build_pool
from services.core.kit.errors import UpdateConflict
from services.core.kit.intake import ingest
from services.core.llm.build import build_llm
from services.core.llm.config import LlmConfig
from services.core.llm.metered import MeteredLlm
from services.core.llm.redaction import Redaction
from services.core.models.client import RouterClient
from services.core.text.redact import build_redactor
from services.worker import steps
from services.worker.settings import WorkerSettings
from services.worker.steps import Outside

ROUTER = "http://127.0.0.1:9"  # nothing listens there: nobody is asked


@pytest.fixture
async def outside(database: str) -> AsyncIterator[Outside]:
    async with build_pool(database, min_size=1, max_size=4) as pool, httpx.AsyncClient() as http:
        redaction = Redaction(build_redactor())
        llm = MeteredLlm(build_llm(LlmConfig()), pool, redaction.hide_in_answer)
        settings = WorkerSettings(database_url=SecretStr(database))
        yield Outside(settings, pool, {}, redaction, RouterClient(ROUTER, http, 1), llm)


async def tell(pool: Pool, text: str, *, kind: DeliveryKind = DeliveryKind.UPDATED) -> None:
    ticket = Ticket(connector="generic", external_id="A-1", subject=text, body="dns")
    delivery = Delivery(connector="generic", delivery_id=text, kind=kind, external_id="A-1", ticket=ticket)
    async with pool.connection() as conn:
        await ingest(conn, delivery, body_sha256="")


class Away(Connector):
    """A system that cannot be asked, and about which something newer is told whenever it is asked."""

    name = "generic"
    system = "Away"
    can = Can.FETCH

    def __init__(self, pool: Pool, tellings: list[str]) -> None:
        super().__init__(ConnectorSettings())
        self.asked = 0
        self._pool, self._tellings = pool, tellings

    async def fetch(self, external_id: str) -> Ticket | None:
        self.asked += 1
        if self._tellings:
            await tell(self._pool, self._tellings.pop(0))
        return None


async def stored(pool: Pool) -> dict[str, str]:
    query = "select ticket ->> 'subject' as raw, subject as safe from tickets join raw.texts on ticket_id = id"
    async with pool.connection() as conn:
        row = await (await conn.execute(query)).fetchone()
    assert row is not None
    return row


async def test_a_newer_telling_is_not_written_over(outside: Outside) -> None:
    """It comes between reading and storing; both raw and redacted text are the newer one's."""
    await tell(outside.pool, "vpn down", kind=DeliveryKind.CREATED)
    away = Away(outside.pool, ["vpn and dns down"])
    await steps.refresh(replace(outside, connectors={"generic": away}), 1)
    assert away.asked == 2
    assert await stored(outside.pool) == {"raw": "vpn and dns down", "safe": "vpn and dns down"}


async def test_a_ticket_that_keeps_changing_is_left_to_the_steps_retry(outside: Outside) -> None:
    """Bounded, and nothing old is stored."""
    await tell(outside.pool, "vpn 0", kind=DeliveryKind.CREATED)
    away = Away(outside.pool, [f"vpn {n}" for n in range(1, steps.NEWER_MAX + 1)])
    with pytest.raises(UpdateConflict):
        await steps.refresh(replace(outside, connectors={"generic": away}), 1)
    assert await stored(outside.pool) == {"raw": f"vpn {steps.NEWER_MAX}", "safe": None}


async def test_what_was_told_later_is_redacted_by_its_own_step(outside: Outside) -> None:
    """After triage too: people see what the customer wrote last."""
    await tell(outside.pool, "vpn down", kind=DeliveryKind.CREATED)
    await steps.refresh(outside, 1)
    await tell(outside.pool, "vpn down, mail jo@example.com")
    await steps.refresh(outside, 1)
    found = await stored(outside.pool)
    assert found["raw"] == "vpn down, mail jo@example.com"
    assert found["safe"].startswith("vpn down, mail <EMAIL")
