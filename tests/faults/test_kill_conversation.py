"""kill -9 of the chat and of PostgreSQL in the middle of conversations: nothing said is lost, nothing is said twice."""

import asyncio
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from services.core.connectors.desk_agents import DeskAgents, Said
from services.core.kit.database import migrate
from services.core.kit.errors import DatabaseUnavailable
from services.core.search.encoder import TextEncoder
from services.local.postgres import EmbeddedPostgres
from services.trainer.text_encoder import put_encoder
from tests.conftest import free_port
from tests.services.rag.conftest import TIMEOUT_S, Rag, index_pages

WORDS = (
    "How do I connect to the VPN with the Harbour client?",
    "How do I add a printer in Settings?",
    "And where is it?",
)
GOODBYE = "I want to talk to a human"
REPLY = "It works again now."


@pytest.mark.parametrize(("kills", "seed"), [(3, 3)])
def test_a_few_kills_lose_and_repeat_nothing(
    open_folder: Path, text_encoder: TextEncoder, kills: int, seed: int
) -> None:
    """The short version: both kinds of process die, and one of them again."""
    with chat(open_folder / f"conversations-{seed}", text_encoder) as (rag, postgres):
        check_killing(rag, postgres, kills=kills, turns=4, seed=seed)


@pytest.mark.slow
def test_fifty_kills_lose_nothing(open_folder: Path, text_encoder: TextEncoder) -> None:
    """The long version, by `make faults`."""
    with chat(open_folder / "conversations-long", text_encoder) as (rag, postgres):
        check_killing(rag, postgres, kills=50, turns=60, seed=20261121)


@contextmanager
def chat(folder: Path, encoder: TextEncoder) -> Iterator[tuple[Rag, EmbeddedPostgres]]:
    """A chat with a PostgreSQL of its own, which may be killed."""
    from obstore.store import LocalStore

    objects, pages = folder / "objects", folder / "pages"
    for place in (objects, pages):
        place.mkdir(parents=True)
    put_encoder(LocalStore(str(objects)))
    postgres = EmbeddedPostgres(folder / "postgres", free_port())
    postgres.start()
    migrate(postgres.url)
    asyncio.run(index_pages(postgres.url, encoder, pages))
    rag = Rag(postgres.url, objects, environment={"POINTSMAN_RAG_MESSAGES_PER_MINUTE": "100000"})
    rag.start()
    try:
        yield rag, postgres
    finally:
        rag.kill()
        rag.wait(lambda: starts(postgres), "PostgreSQL again")  # it is stopped by its own program, once it runs
        postgres.stop()


def check_killing(rag: Rag, postgres: EmbeddedPostgres, *, kills: int, turns: int, seed: int) -> None:
    chance = random.Random(seed)
    people = [Person(rag, turns, seed=seed + number) for number in range(3)]
    for person in people:
        person.start()
    order = ["rag", "postgres", *chance.choices(["rag", "postgres"], weights=(3, 1), k=kills - 2)]
    for kind in order:
        time.sleep(chance.uniform(0.1, 1.5))  # anywhere in a turn
        strike(rag, postgres, kind)
    for person in people:
        person.join(TIMEOUT_S)
        assert not person.is_alive(), "a person is still waiting for an answer"
        assert person.refused == []
    print(f"killed: {dict(Counter(order))}")
    assert_nothing_lost_or_repeated(rag, people)


def strike(rag: Rag, postgres: EmbeddedPostgres, kind: str) -> None:
    """kill -9, and a start."""
    if kind == "rag":
        rag.kill()
        rag.start()
        return
    if postgres.pid is not None:
        program = psutil.Process(postgres.pid)
        program.kill()
        psutil.wait_procs([program], timeout=TIMEOUT_S)
    rag.wait(lambda: starts(postgres), "PostgreSQL again")


def starts(postgres: EmbeddedPostgres) -> bool:
    """Not while processes of the killed one still end."""
    try:
        postgres.start()
    except DatabaseUnavailable:
        return False
    return True


def assert_nothing_lost_or_repeated(rag: Rag, people: list["Person"]) -> None:
    for person in people:
        rag.wait(lambda person=person: len(rag.rows(TICKETS, f"session-{person.id}")) == 1, "the ticket")
        ((ticket,),) = rag.rows("select ticket from sessions where id = %s", person.id)
        asyncio.run(solve(rag.database, ticket))
    rag.kill()
    rag.start()
    for person in people:
        state = "select 1 from sessions where id = %s and state = 'resolved'"
        rag.wait(lambda person=person, state=state: bool(rag.rows(state, person.id)), "the end")
        said = rag.rows(
            "select id, author, text, replies_to from messages where session_id = %s order by place", person.id
        )
        assert [one[0] for one in said if one[1] == "user"] == person.said
        answered = Counter(one[3] for one in said if one[3] is not None)
        assert answered == Counter(person.said)
        assert [one[2] for one in said if one[1] == "agent"] == [REPLY]
    assert rag.rows("select count(*) from desk_tickets") == [(len(people),)]


SAID = "select id, author, text, replies_to from messages where session_id = %s order by place"
TICKETS = "select 1 from desk_tickets t join sessions s on s.ticket = t.id::text where 'session-' || s.id = %s"


async def solve(database: str, ticket: str) -> None:
    async with AsyncConnectionPool(database, min_size=1) as pool:
        await DeskAgents(pool).solve(ticket, Said("ana", REPLY))


class Person(threading.Thread):
    """Says one thing after the other, each again until it is answered, and asks for a human in the end."""

    def __init__(self, rag: Rag, turns: int, *, seed: int) -> None:
        super().__init__(daemon=True)
        self._rag, self._turns, self._chance = rag, turns, random.Random(seed)
        self.id, self.token = "", ""
        self.said: list[uuid.UUID] = []
        self.refused: list[tuple[int, str]] = []

    def run(self) -> None:
        with httpx.Client(base_url=self._rag.url, timeout=30) as http:
            opened = self._until_answered(http, "/sessions", {}, {})
            self.id, self.token = opened["id"], opened["token"]
            for _ in range(self._turns):
                self._say(http, self._chance.choice(WORDS))
            self._say(http, GOODBYE)

    def _say(self, http: httpx.Client, text: str) -> None:
        if self._is_with_a_person(http):
            return
        self.said.append(uuid.uuid4())
        headers = {"Authorization": f"Bearer {self.token}"}
        self._until_answered(http, f"/sessions/{self.id}/messages", {"id": str(self.said[-1]), "text": text}, headers)

    def _is_with_a_person(self, http: httpx.Client) -> bool:
        """A question may be handed over before the end: then nothing more is said."""
        while True:
            try:
                answer = http.get(f"/sessions/{self.id}", headers={"Authorization": f"Bearer {self.token}"})
                return answer.raise_for_status().json()["state"] == "escalated"
            except httpx.HTTPError:
                time.sleep(0.1)

    def _until_answered(self, http: httpx.Client, path: str, body: dict, headers: dict) -> dict:
        while True:
            try:
                answer = http.post(path, json=body, headers=headers)
            except httpx.HTTPError:
                time.sleep(0.1)
                continue
            if answer.is_success:
                return answer.json()
            if answer.status_code != 503:
                self.refused.append((answer.status_code, answer.text))
                raise psycopg.OperationalError(answer.text)
            time.sleep(0.1)
