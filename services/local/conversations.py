"""The chat of this machine: its encoder, the sample handbook at the first start, and the container itself."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from psycopg import AsyncConnection

from services.core.kit.errors import Unavailable
from services.core.kit.objects import open_store
from services.local.home import Home
from services.local.platform import TEND_S, Running

if TYPE_CHECKING:
    from services.core.search.encoder import TextEncoder

CONTAINER = "services.rag"
HANDBOOK = Path(__file__).with_name("handbook")
SOURCE = "handbook"
QUESTION = "How do I reset my password?"
READY_TIMEOUT_S = 120.0

OpenEncoder = Callable[[Home], "TextEncoder"]


def start_conversations(running: Running, open_encoder: OpenEncoder, say: Callable[[str], None]) -> None:
    """
    Starts the chat, with the sample handbook when nothing is indexed yet.

    Raises:
        Unavailable: it did not answer in time; ends with its log.
    """
    encoder = open_encoder(running.home)
    if chunks := asyncio.run(index_handbook(running.home, encoder)):
        say(f"Indexed the sample handbook ({chunks} chunks). Your own documents: pointsman docs index FOLDER")
    running.supervisor.start("rag", CONTAINER)
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not is_ready(running.home):
        running.supervisor.tend()
        if time.monotonic() > deadline:
            raise Unavailable(f"The chat did not become ready. Its log ends:\n{running.supervisor.log_tail('rag')}")
        time.sleep(TEND_S)


async def index_handbook(home: Home, encoder: "TextEncoder") -> int:
    """Indexes the sample handbook into an empty index; how many chunks it made."""
    from services.core.search import documents
    from services.core.search.indexing import Source, index_store

    async with await AsyncConnection.connect(home.postgres.url, autocommit=True) as conn:
        if await documents.listing(conn):
            return 0
        return (await index_store(conn, encoder, open_store(f"file://{HANDBOOK}"), Source(SOURCE))).chunks


def one_answer(home: Home) -> list[str]:
    """What the chat says to one question of the sample handbook, with its sources, in lines."""
    with httpx.Client(base_url=home.rag_url, timeout=READY_TIMEOUT_S) as http:
        opened = http.post("/sessions", json={}).raise_for_status().json()
        headers = {"Authorization": f"Bearer {opened['token']}"}
        said = http.post(f"/sessions/{opened['id']}/messages", json={"text": QUESTION}, headers=headers)
        answer = said.raise_for_status().json()["answer"]
    cited = answer["answer"]["evidence"] if answer["answer"]["claims"] else ()
    sources = [f"  Source: {one['title']} ({one['uri']})" for one in cited]
    return [f"Asked in the chat: {QUESTION}", *answer["text"].splitlines(), *sources]


def is_ready(home: Home) -> bool:
    try:
        return httpx.get(f"{home.rag_url}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False
