"""The review queue: why the router thinks so, four kinds of answer, taken back, and one word for alike tickets."""

import json
import re
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from services.trainer.prepare import is_foreign
from services.trainer.repository import read_examples
from tests.services.gateway.conftest import Keys
from tests.services.gateway.seed import add_groups, decision, take_in, ticket
from tests.services.gateway.test_console import HTMX, as_
from tests.services.worker.test_erasure import erase

NETWORK, IDENTITY = "Network & VPN", "Identity & Access"
SENT = "update outbox set state = 'sent', settled_at = now(), attempts = 1"


@pytest.fixture
async def waiting(database: str) -> list[int]:
    """Three that read alike, one that does not; all but the last are explained."""
    add_groups(database)
    subjects = ("VPN drops daily", "VPN drops hourly", "VPN drops weekly", "Badge lost")
    ids = await take_in(
        database, [(ticket(f"A-{n}", subject=subject), decision()) for n, subject in enumerate(subjects)]
    )
    for number, ticket_id in enumerate(ids[:3]):
        explained(database, ticket_id, [1.0, 0.01 * number])
    return ids


def explained(database: str, ticket_id: int, direction: list[float], *, place: int | None = None) -> None:
    """As the worker leaves it: words by group, a past ticket of each kind, an embedding."""
    words = {NETWORK: ["vpn", "drops"], IDENTITY: []}
    with psycopg.connect(database) as conn:
        conn.execute(
            "insert into ticket_vectors (ref, kind, external_id, title, group_name, model_version, embedding) values "
            "('history/1', 'history', 'H-1', 'VPN gone again', %s, 'm1', array_fill(0, array[384])::vector),"
            "('history/2', 'history', 'H-2', 'Printer jam', 'Workplace Hardware', 'm1',"
            " array_fill(0, array[384])::vector) on conflict do nothing",
            (NETWORK,),
        )
        conn.execute(
            "insert into review_reasons (ticket_id, text_md5, model_version, words, near, embedding, place)"
            " select id, md5(subject || chr(31) || body), 'm1', %s, %s, %s::halfvec, %s from tickets where id = %s",
            (
                json.dumps(words),
                json.dumps([["history/1", 0.91], ["history/2", 0.5]]),
                json.dumps(direction + [0.0] * 382),
                place,
                ticket_id,
            ),
        )


def rows(database: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(database, row_factory=dict_row) as conn:
        return conn.execute(query.encode()).fetchall()


def run(database: str, statement: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(statement.encode())


async def queue(gateway: httpx.AsyncClient, key: str, order: str = "information") -> list[dict[str, Any]]:
    return (await gateway.get("/api/reviews", params={"order": order}, headers=Keys.header(key))).json()


async def answer(gateway: httpx.AsyncClient, key: str, ticket_id: int, **said: Any) -> httpx.Response:
    return await gateway.post(f"/api/tickets/{ticket_id}/review", json=said, headers=Keys.header(key))


async def undo(gateway: httpx.AsyncClient, key: str, ticket_id: int, number: int = 1) -> httpx.Response:
    path = f"/api/tickets/{ticket_id}/review/undo"
    return await gateway.post(path, json={"number": number}, headers=Keys.header(key))


async def test_each_proposed_group_comes_with_its_words_and_near_tickets(
    gateway: httpx.AsyncClient, keys: Keys, waiting: list[int], database: str
) -> None:
    """In the API and on the card; a past ticket that was erased, and reasons of another text, are gone."""
    card = (await queue(gateway, keys.viewer))[0]
    first, second, third = card["proposals"]
    assert (first["group"], first["words"], [one["external_id"] for one in first["near"]]) == (
        NETWORK,
        ["vpn", "drops"],
        ["H-1"],
    )
    assert (second["words"], second["near"]) == ([], [])
    assert [one["title"] for one in third["near"]] == ["Printer jam"]
    assert card["alike"] == 2
    page = (await gateway.get("/reviews", headers=as_(keys.agent))).text
    assert "<mark>VPN</mark> <mark>drops</mark> daily" in page
    assert "VPN gone again" in page
    run(database, "delete from ticket_vectors where ref = 'history/1'")
    run(database, f"update tickets set body = 'Retold' where id = {waiting[1]}")
    cards = {int(card["id"]): card for card in await queue(gateway, keys.viewer)}
    assert cards[waiting[0]]["proposals"][0]["near"] == []
    assert cards[waiting[1]]["proposals"][0]["words"] == []
    assert "VPN gone again" not in (await gateway.get("/reviews", headers=as_(keys.agent))).text


async def test_the_order_is_of_information_or_of_age(
    gateway: httpx.AsyncClient, keys: Keys, waiting: list[int], database: str
) -> None:
    """Placed ones first, then the most urgent; by age the one that has waited longest."""
    run(database, f"update review_reasons set place = case ticket_id when {waiting[2]} then 0 else 1 end")
    run(database, f"update reviews set opened_at = opened_at - interval '1 h' where ticket_id = {waiting[3]}")
    assert int((await queue(gateway, keys.viewer))[0]["id"]) == waiting[2]
    assert int((await queue(gateway, keys.viewer))[-1]["id"]) == waiting[3]
    assert int((await queue(gateway, keys.viewer, "age"))[0]["id"]) == waiting[3]
    page = (await gateway.get("/reviews?order=age", headers=as_(keys.agent))).text
    assert re.findall(r'id="review-(\d+)"', page)[0] == str(waiting[3])
    assert (await gateway.get("/reviews?order=luck", headers=as_(keys.agent))).status_code == 422


@pytest.mark.parametrize("verdict", ["no_group", "not_a_ticket"])
async def test_a_ticket_of_no_group_is_learnt_as_such_and_routed_nowhere(
    gateway: httpx.AsyncClient, keys: Keys, waiting: list[int], database: str, verdict: str
) -> None:
    """A note and a tag, no group; the trainer counts it among those that belong nowhere."""
    done = await answer(gateway, keys.agent, waiting[0], verdict=verdict)
    assert (done.json()["review"], done.json()["group"]) == (verdict, None)
    (letter,) = rows(database, "select payload from outbox")
    assert letter["payload"]["group"] is None
    assert letter["payload"]["priority"] is None
    assert "agent says" in letter["payload"]["note"]
    with psycopg.connect(database) as conn:
        assert [is_foreign(row) for row in read_examples(conn)] == [True]
    detail = (await gateway.get(f"/api/tickets/{waiting[0]}", headers=Keys.header(keys.viewer))).json()
    assert detail["review"]["state"] == verdict
    assert (await gateway.get(f"/tickets/{waiting[0]}", headers=as_(keys.agent))).status_code == 200
    assert (await answer(gateway, keys.agent, waiting[1], verdict=verdict, group=NETWORK)).status_code == 422


async def test_an_answer_taken_back_leaves_nothing_and_the_next_one_is_written(
    gateway: httpx.AsyncClient, keys: Keys, waiting: list[int], database: str
) -> None:
    """Review open, label gone, letter recalled before it left; the second answer has a letter of its own."""
    held = "select due_at - created_at >= interval '4 s' as held, state, key from outbox order by id"
    number = (await answer(gateway, keys.agent, waiting[0], group=IDENTITY)).json()["number"]
    assert rows(database, held) == [{"held": True, "state": "pending", "key": f"{waiting[0]}:review"}]
    assert (await undo(gateway, keys.agent, waiting[0], number)).json()["review"] == "open"
    assert rows(database, 'select "group" from labels') == []
    assert rows(database, held)[0]["state"] == "superseded"
    assert waiting[0] in [int(card["id"]) for card in await queue(gateway, keys.viewer)]
    again = (await answer(gateway, keys.agent, waiting[0])).json()
    assert (again["review"], again["number"]) == ("accepted", 2)
    assert [row["key"] for row in rows(database, held)][1] == f"{waiting[0]}:review:2"
    told = [
        row["action"]
        for row in rows(database, "select action from audit_log where subject like 'ticket/%' order by at")
    ]
    assert told == ["review.corrected", "review.undone", "review.accepted"]
    assert (await undo(gateway, keys.agent, waiting[0], 1)).status_code == 409  # the first is history


async def test_an_answer_that_was_written_already_is_written_over(
    gateway: httpx.AsyncClient, keys: Keys, waiting: list[int], database: str
) -> None:
    """The second letter compares with what the first one wrote, so that it does not take our word for a person's."""
    await answer(gateway, keys.agent, waiting[0], group=IDENTITY)
    run(database, SENT)
    assert (await undo(gateway, keys.agent, waiting[0])).status_code == 200
    await answer(gateway, keys.agent, waiting[0])
    first, second = rows(database, "select payload, state from outbox order by id")
    assert first["state"] == "sent"
    assert (second["payload"]["group"], second["payload"]["seen"]["group"]) == (NETWORK, IDENTITY)
    assert second["payload"]["seen"]["stamp"] is None


async def test_only_ones_own_newest_answer_is_taken_back(
    gateway: httpx.AsyncClient, keys: Keys, waiting: list[int], database: str
) -> None:
    """Not somebody else's, not an open one, not late, not of a solved ticket, not while its letter is carried."""
    first, second, third, fourth = waiting
    assert (await undo(gateway, keys.agent, first)).status_code == 409
    for ticket_id in waiting:
        await answer(gateway, keys.admin if ticket_id == first else keys.agent, ticket_id)
    refused = await undo(gateway, keys.agent, first)
    assert (refused.status_code, "admin answered it" in refused.json()["message"]) == (409, True)
    run(database, f"update reviews set closed_at = now() - interval '16 min' where ticket_id = {second}")
    run(database, f"update tickets set status = 'solved' where id = {third}")
    run(database, f"update outbox set attempts = 1 where ticket_id = {fourth}")
    assert [(await undo(gateway, keys.agent, one)).status_code for one in (second, third, fourth)] == [409] * 3
    assert (await undo(gateway, keys.viewer, fourth)).status_code == 403
    assert len(rows(database, "select 1 from labels")) == 4
    assert {row["state"] for row in rows(database, "select state from outbox")} == {"pending"}


async def test_an_erased_ticket_is_neither_answered_nor_opened_again(
    gateway: httpx.AsyncClient, keys: Keys, waiting: list[int], database: str
) -> None:
    """Its reasons are gone with its text, and an undo brings nothing back."""
    await answer(gateway, keys.agent, waiting[0])
    await erase(database, waiting[0])
    await erase(database, waiting[1])
    assert [(await undo(gateway, keys.agent, waiting[0])).status_code] == [404]
    assert (await answer(gateway, keys.agent, waiting[1])).status_code == 404
    assert [row["ticket_id"] for row in rows(database, "select ticket_id from review_reasons")] == [waiting[2]]
    cards = await queue(gateway, keys.viewer)
    assert sorted(int(card["id"]) for card in cards) == [waiting[2], waiting[3]]
    assert next(card for card in cards if int(card["id"]) == waiting[2])["alike"] == 0


async def test_alike_tickets_are_answered_together_but_none_unread(
    gateway: httpx.AsyncClient, keys: Keys, waiting: list[int], database: str
) -> None:
    """One was answered meanwhile, one was retold: both are left and named; the others can be undone at once."""
    first, second, third, fourth = waiting
    found = (await gateway.get(f"/api/reviews/{first}/alike", headers=Keys.header(keys.viewer))).json()
    assert [int(one["id"]) for one in found] == [second, third]
    marks = {int(card["id"]): card["mark"] for card in await queue(gateway, keys.viewer)}
    run(database, f"update tickets set body = 'Retold' where id = {second}")
    await answer(gateway, keys.admin, fourth, group=IDENTITY)
    form = {"group": NETWORK, **{f"ticket-{one}": marks[one] for one in waiting}}
    page = await gateway.post("/reviews/alike", data=form, headers=as_(keys.agent, HTMX))
    assert (page.status_code, "2 answered" in page.text) == (200, True)
    assert f"Ticket {second} changed since you looked at it" in page.text
    assert f"Ticket {fourth} is not waiting" in page.text
    closed = "select ticket_id, \"group\", closed_by from reviews where state <> 'open' order by ticket_id"
    assert [tuple(row.values()) for row in rows(database, closed)] == [
        (first, NETWORK, "agent"),
        (third, NETWORK, "agent"),
        (fourth, IDENTITY, "admin"),
    ]
    back = {"answers": f"{first}.1 {third}.1 {fourth}.1"}
    page = await gateway.post("/reviews/undo", data=back, headers=as_(keys.agent, HTMX))
    assert "admin answered it" in page.text
    assert [row["ticket_id"] for row in rows(database, closed)] == [fourth]


async def test_alike_tickets_by_the_api(
    gateway: httpx.AsyncClient, keys: Keys, waiting: list[int], database: str
) -> None:
    """Taken and refused one by one; a viewer may not; a later decision changes the mark."""
    marks = {int(card["id"]): card["mark"] for card in await queue(gateway, keys.viewer)}
    run(
        database,
        'insert into decisions (ticket_id, workflow_id, decision, "group", band, confidence, shadow) '
        f"select ticket_id, 'later', decision, \"group\", band, 1, false from decisions where ticket_id = {waiting[1]}",
    )
    body = {"group": NETWORK, "tickets": [{"ticket_id": one, "mark": marks[one]} for one in waiting[:2]]}
    assert (await gateway.post("/api/reviews/accept", json=body, headers=Keys.header(keys.viewer))).status_code == 403
    found = (await gateway.post("/api/reviews/accept", json=body, headers=Keys.header(keys.agent))).json()
    assert [int(one["ticket_id"]) for one in found["taken"]] == [waiting[0]]
    assert [int(one["ticket_id"]) for one in found["refused"]] == [waiting[1]]
    assert (await answer(gateway, keys.agent, waiting[2], mark="1-0")).status_code == 409


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/reviews/alike", {"group": NETWORK, "ticket-1": "1-0"}),
        ("/reviews/undo", {"answers": "1.1"}),
        ("/reviews/1/undo", {"answer": "1"}),
        ("/tickets/1/undo", {"answer": "1"}),
        ("/reviews/1", {"verdict": "not_a_ticket"}),
    ],
)
async def test_who_may_not_and_what_another_site_sends_changes_nothing(
    gateway: httpx.AsyncClient, keys: Keys, waiting: list[int], database: str, path: str, form: dict[str, str]
) -> None:
    """A viewer, a form of another site, and numbers that are none."""
    assert (await gateway.post(path, data=form, headers=as_(keys.viewer, HTMX))).status_code == 403
    crossed = Keys.header(keys.agent) | {"Sec-Fetch-Site": "cross-site"}
    assert (await gateway.post(path, data=form, headers=crossed)).status_code == 403
    broken = dict.fromkeys(form, "x" * 30) | {"ticket-x": "1"}
    assert (await gateway.post(path, data=broken, headers=as_(keys.agent, HTMX))).status_code in (400, 409, 422)
    assert {row["state"] for row in rows(database, "select state from reviews")} == {"open"}


async def test_what_past_tickets_and_words_say_stays_text(
    gateway: httpx.AsyncClient, keys: Keys, waiting: list[int], database: str
) -> None:
    run(database, "update ticket_vectors set title = '<script>alert(1)</script>', group_name = '<img src=x>'")
    run(database, 'update review_reasons set words = \'{"Network & VPN": ["<script>", "script"]}\'')
    run(database, "update tickets set body = 'x' || subject, subject = '<script>'")
    run(database, "update review_reasons w set text_md5 = md5(t.subject || chr(31) || t.body) from tickets t "
        "where t.id = w.ticket_id")  # fmt: skip
    html = (await gateway.get("/reviews", headers=as_(keys.agent))).text
    assert "&lt;<mark>script</mark>&gt;" in html
    assert "<script>" not in html
    assert "<img" not in html
