"""The knowledge gaps in the console: what the chat was asked and no document answers, as the chat last kept it."""

import re
import uuid

import httpx
import psycopg
import pytest

from tests.services.gateway.conftest import Keys
from tests.services.gateway.test_console import ATTACK, as_

GAP = """
with talk as (insert into sessions (id, token_sha256) values (gen_random_uuid(), 'x') returning id),
     said as (insert into messages (id, session_id, author, text) select %(id)s, id, 'user', %(question)s from talk)
select id from talk
"""
KEEP = """
insert into gaps (example, questions, refused, escalated, by_people, usd, hours, uri, title, nearness, hidden)
values (%(id)s, %(questions)s, %(refused)s, %(questions)s, 2, 0.015, %(hours)s, 'p.md', %(title)s, 0.61, %(hidden)s)
"""


def keep(database: str, question: str, **known: object) -> str:
    """A gap as the chat finds it; the id of its conversation."""
    row = {"id": uuid.uuid4(), "question": question, "refused": 3, "hours": None, "title": None, "hidden": False}
    with psycopg.connect(database, autocommit=True) as conn:
        found = conn.execute(GAP, row | known).fetchone()
        conn.execute(KEEP, row | known)
    assert found is not None
    return str(found[0])


def rows(page: str) -> list[list[str]]:
    """The table's cells as one reads them."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in body.split("<tr>")[1:]]
    return [[re.sub(r"<[^>]*>", "", cell).strip() for cell in row] for row in cells]


async def test_gaps_are_listed_with_what_they_cost(gateway: httpx.AsyncClient, keys: Keys, database: str) -> None:
    """The most frequent first; a document that those who asked may not read is told as such; gone with its words."""
    keep(database, "Who repairs the coffee machine?", questions=4, hours=2.5, title="Kitchens")
    often = keep(database, "What is the travel policy of <PERSON_1>?", questions=1200, title="Travel", hidden=True)
    page = (await gateway.get("/gaps", headers=as_(keys.viewer))).raise_for_status().text
    assert rows(page) == [
        [
            "What is the travel policy of person 1?",
            "1,200",
            "3",
            "2",
            "",
            "$0.015",
            "Travel (61%, not for those who asked)",
        ],
        ["Who repairs the coffee machine?", "4", "3", "2", "2.5", "$0.015", "Kitchens (61%)"],
    ]
    assert '<a href="/gaps" aria-current="page">Gaps</a>' in page
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("delete from sessions where id = %s", (often,))
    assert len(rows((await gateway.get("/gaps", headers=as_(keys.viewer))).text)) == 1


async def test_without_gaps_the_page_says_so(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """And when it will be looked again; without a key there is the login."""
    assert "It looks once an hour." in (await gateway.get("/gaps", headers=as_(keys.viewer))).text
    assert (await gateway.get("/gaps")).headers["location"] == "/login?next=%2Fgaps"


@pytest.mark.parametrize("field", ["question", "title"])
async def test_what_people_and_documents_say_stays_text(
    gateway: httpx.AsyncClient, keys: Keys, database: str, field: str
) -> None:
    """Neither a question nor a title is markup."""
    keep(database, **({"question": "Who?", "questions": 1, "title": "A page"} | {field: ATTACK}))
    page = (await gateway.get("/gaps", headers=as_(keys.viewer))).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<img src=x" not in page
