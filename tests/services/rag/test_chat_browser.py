"""The chat page in a real browser: answers with its source, hands over, and shows what the agent says."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from playwright.sync_api import expect
from psycopg_pool import AsyncConnectionPool

from services.core.connectors.desk_agents import DeskAgents, Said
from tests.services.gateway.browser import chromium, watch
from tests.services.rag.conftest import Rag

SLOW_MS = 120_000  # a machine that eight test runs share


def test_a_question_an_answer_a_person_and_their_reply(rag: Rag) -> None:
    """By keyboard alone; markup that people write is shown, never run; nothing is asked of another host."""
    with chromium() as browser:
        watched = watch(browser.new_page())
        page = watched.page
        page.set_default_timeout(SLOW_MS)
        page.goto(rag.url)
        box = page.get_by_label("Your message")
        log = page.get_by_role("log")

        box.fill("How do I connect to the VPN with the Harbour client?")
        box.press("Enter")
        expect(log).to_contain_text("Approve the prompt on your phone.", timeout=SLOW_MS)
        source = log.get_by_role("link", name="Connect to the VPN")
        expect(source).to_have_attribute("href", "https://help.example/vpn.md")

        box.fill("<img src=x onerror=alert(1)> let me talk to a human")
        box.press("Enter")
        expect(log).to_contain_text("I am handing this to a person", timeout=SLOW_MS)
        expect(log).to_contain_text("<img src=x onerror=alert(1)>")
        expect(page.get_by_role("status")).to_contain_text("A person has your conversation", timeout=SLOW_MS)
        rag.wait(lambda: bool(rag.rows("select 1 from sessions where ticket is not null")), "the ticket")
        ((ticket,),) = rag.rows("select ticket from sessions")
        with ThreadPoolExecutor(1) as elsewhere:  # Playwright has a loop running in this thread
            elsewhere.submit(lambda: asyncio.run(reply(rag.database, ticket))).result()
        expect(log).to_contain_text("Ana here: your access is back.", timeout=SLOW_MS)
        expect(log).not_to_contain_text("internal remark")
        expect(page.get_by_role("status")).to_contain_text("Solved", timeout=SLOW_MS)

        page.reload()
        expect(log).to_contain_text("Ana here: your access is back.", timeout=SLOW_MS)
        assert page.locator("article").count() == 6
        assert watched.complaints == []
        assert watched.hosts == {"127.0.0.1"}


async def reply(database: str, ticket: str) -> None:
    async with AsyncConnectionPool(database, min_size=1) as pool:
        desk = DeskAgents(pool)
        await desk.comment(ticket, Said("ana", "internal remark", public=False))
        await desk.solve(ticket, Said("ana", "Ana here: your access is back."))
