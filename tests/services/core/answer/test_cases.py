"""What agents resolved: near-duplicates become one case that says all of it, and an erasure reaches every part."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from services.core.answer.cases import as_case, put_case
from services.core.search.encoder import TextEncoder
from services.rag.repository import open_session
from services.worker.repository import ERASE

ASKED = "The coffee machine on floor 3 shows code E44"
SOLVED = "Hold both buttons for 5 seconds."


@pytest.fixture
async def conn(database: str) -> AsyncIterator[AsyncConnection[DictRow]]:
    async with await AsyncConnection.connect(database, autocommit=True, row_factory=dict_row) as connection:
        yield connection


async def resolved(conn: Any, encoder: TextEncoder, asked: str, solved: str, *groups: str) -> tuple[UUID, str | None]:
    """A conversation that an agent resolved, and the address of its case."""
    session_id = uuid4()
    async with conn.transaction():
        await open_session(conn, session_id, "", groups, None)
        said = [{"author": "user", "redacted": asked}, {"author": "agent", "redacted": solved}]
        return session_id, await put_case(conn, encoder, {"id": session_id, "groups": groups}, said)


async def cases(conn: AsyncConnection[DictRow]) -> dict[str, str]:
    rows = await conn.execute("select d.uri, c.text from documents d join chunks c on c.document_id = d.id")
    return {row["uri"]: row["text"] for row in await rows.fetchall()}


async def test_a_near_duplicate_adds_what_is_new(conn: Any, text_encoder: TextEncoder) -> None:
    """The same words twice are said once; another resolution, and another audience, is a case of its own."""
    _, first = await resolved(conn, text_encoder, ASKED, SOLVED)
    assert first is not None
    _, again = await resolved(conn, text_encoder, ASKED, SOLVED)
    _, more = await resolved(conn, text_encoder, ASKED, f"{SOLVED} Empty the tray.")
    assert (again, more) == (first, first)
    assert await cases(conn) == {first: f"{SOLVED}\nEmpty the tray."}
    _, other = await resolved(conn, text_encoder, "My badge does not open the garage", "Ask reception for a new one.")
    _, secret = await resolved(conn, text_encoder, ASKED, SOLVED, "hr")
    assert set(await cases(conn)) == {first, other, secret}


def test_a_case_is_named_by_the_matter() -> None:
    """Not by the call for a person; what else was said is found by, and only the agent's words can be quoted."""
    said = [("user", "I want to talk to a human"), ("assistant", "I am handing this to a person."), ("user", ASKED)]
    said += [("user", "It is a Barista 9 with two buttons."), ("agent", SOLVED)]
    case = as_case(uuid4(), [{"author": author, "redacted": text} for author, text in said], ())
    assert case is not None
    assert (case.title, case.chunks[0].text) == (ASKED, SOLVED)
    assert case.chunks[0].heading[0] == "Facts: It is a Barista 9 with two buttons."
    assert 1 <= len(case.chunks[0].heading[1:]) <= 2
    only = as_case(
        uuid4(), [{"author": "user", "redacted": "Human please"}, {"author": "agent", "redacted": SOLVED}], ()
    )
    assert only is not None
    assert (only.title, only.chunks[0].heading[0].startswith("Facts")) == ("Human please", False)


async def test_an_erasure_reaches_what_was_merged(conn: Any, text_encoder: TextEncoder) -> None:
    """The second conversation's words lie in the first one's case: it goes with either."""
    await resolved(conn, text_encoder, ASKED, SOLVED)
    second, _ = await resolved(conn, text_encoder, ASKED, f"{SOLVED} Empty the tray.")
    rows = await conn.execute(
        "insert into tickets (connector, external_id, occurred_at) values ('desk', '7', now()) returning id"
    )
    ticket = (await rows.fetchone())["id"]
    await conn.execute("update sessions set connector = 'desk', ticket = '7' where id = %s", (second,))
    await conn.execute(ERASE, {"id": ticket, "ref": f"ticket/{ticket}"})
    assert await cases(conn) == {}
