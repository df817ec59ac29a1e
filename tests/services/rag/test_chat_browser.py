"""The chat page in a real browser: answers with its source, hands over, and shows what the agent says."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from playwright.sync_api import expect
from psycopg_pool import AsyncConnectionPool

from services.core.connectors.desk_agents import DeskAgents, Said
from tests.services.gateway.browser import chromium, watch
from tests.services.rag.conftest import Rag

KEEP_STATES = """() => {
  const state = document.getElementById("state");
  window.states = [];
  new MutationObserver(() => window.states.push(state.textContent)).observe(state, { childList: true });
}"""
SLOW_MS = 120_000  # a machine that eight test runs share


def test_a_question_an_answer_a_person_and_their_reply(rag: Rag) -> None:
    """
    By keyboard alone; it says what it does while it does it; markup that people write is shown, never run; what could
    not be sent is sent once by sending it again; nothing is asked of another host.
    """
    with chromium() as browser:
        watched = watch(browser.new_page())
        page = watched.page
        page.set_default_timeout(SLOW_MS)
        page.goto(rag.url)
        box = page.get_by_label("Your message")
        log = page.get_by_role("log")

        page.evaluate(KEEP_STATES)
        accepts: list[str] = []
        page.on("request", lambda sent: accepts.append(sent.headers.get("accept", "")) if sent.post_data else None)
        page.route("**/messages", lambda route: route.abort(), times=1)
        box.fill("After how many years is a laptop replaced?")
        box.press("Enter")
        expect(box).to_have_value("After how many years is a laptop replaced?", timeout=SLOW_MS)
        box.press("Enter")
        expect(log).to_contain_text("Ask your manager to approve the request.", timeout=SLOW_MS)
        expect(log.get_by_role("article")).to_have_count(2)
        expect(page.locator("[aria-busy]")).to_have_count(0)
        expect(box).to_be_focused()
        assert accepts[-1] == "text/event-stream"
        assert {"Searching the documents…", "Checking the answer…"} <= set(page.evaluate("window.states"))
        source = log.get_by_role("link", name="Replace a laptop")
        expect(source).to_have_attribute("href", "https://help.example/laptop.md")

        box.fill("<img src=x onerror=alert(1)> let me talk to a human")
        box.press("Enter")
        expect(log).to_contain_text("I am handing this to a person", timeout=SLOW_MS)
        expect(log).to_contain_text("<img src=x onerror=alert(1)>")
        expect(page.get_by_role("status")).to_contain_text("A person has your conversation", timeout=SLOW_MS)
        handed_over = (
            "select s.ticket from sessions s join messages m on m.session_id = s.id "
            "where m.text like '%%let me talk to a human' and s.ticket is not null"
        )
        rag.wait(lambda: bool(rag.rows(handed_over)), "the ticket")
        ((ticket,),) = rag.rows(handed_over)
        with ThreadPoolExecutor(1) as elsewhere:  # Playwright has a loop running in this thread
            elsewhere.submit(lambda: asyncio.run(reply(rag.database, ticket))).result()
        expect(log).to_contain_text("Ana here: your access is back.", timeout=SLOW_MS)
        expect(log).not_to_contain_text("internal remark")
        expect(page.get_by_role("status")).to_contain_text("Solved", timeout=SLOW_MS)

        page.set_viewport_size({"width": 360, "height": 420})
        log.evaluate("log => log.scrollTo(0, log.scrollHeight)")
        for part in (page.get_by_role("status"), box, page.get_by_role("button", name="Send")):
            expect(part).to_be_in_viewport(ratio=1)  # however long the conversation and small the window
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

        page.reload()
        expect(log).to_contain_text("Ana here: your access is back.", timeout=SLOW_MS)
        assert page.locator("article").count() == 6
        assert [one for one in watched.complaints if "ERR_FAILED" not in one] == []  # the one that was aborted
        assert watched.hosts == {"127.0.0.1"}


async def reply(database: str, ticket: str) -> None:
    async with AsyncConnectionPool(database, min_size=1) as pool:
        desk = DeskAgents(pool)
        await desk.comment(ticket, Said("ana", "internal remark", public=False))
        await desk.solve(ticket, Said("ana", "Ana here: your access is back."))
