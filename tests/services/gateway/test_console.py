"""The console over HTTP: who gets in, what each role may do, what people wrote stays text, and errors in words."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlencode

import httpx
import psycopg
import pytest

from services.core.contracts.prediction import Band, ScoredGroup
from services.core.kit import audit
from services.gateway import pages
from services.gateway.access import COOKIE
from tests.services.gateway.conftest import Keys
from tests.services.gateway.seed import add_groups, decision, take_in, ticket

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
HTMX = {"HX-Request": "true"}
STATIC = Path(pages.__file__).with_name("static")
ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def as_(key: str, *more: dict[str, str]) -> dict[str, str]:
    """The headers of a console page's request, with `key` in place of a session."""
    headers = {**Keys.header(key), **SAME_ORIGIN}
    for some in more:
        headers |= some
    return headers


@pytest.fixture
async def waiting(database: str) -> int:
    """A ticket that waits for a review."""
    add_groups(database)
    return (await take_in(database, [(ticket(), decision())]))[0]


async def test_a_page_without_a_key_leads_to_the_login_and_back(gateway: httpx.AsyncClient) -> None:
    """303 with the page one wanted; htmx is told to go there as a whole."""
    answer = await gateway.get("/?band=ESCALATE")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2F%3Fband%3DESCALATE")
    shown = {"HX-Current-URL": "http://gateway.test/tickets/7?x=1"}
    answer = await gateway.get("/counts", headers=HTMX | shown)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login?next=%2Ftickets%2F7%3Fx%3D1")


async def test_a_key_becomes_a_cookie_that_opens_the_console(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """HttpOnly, same-site only, and Secure where the page came over TLS; logging out takes it away."""
    form = {"key": f" {keys.viewer}\n", "next": "/reviews"}
    answer = await gateway.post("/login", data=form, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/reviews")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert keys.viewer not in cookie
    assert (await gateway.get("/reviews")).status_code == 200
    assert (await gateway.post("/logout", headers=SAME_ORIGIN)).status_code == 303
    assert (await gateway.get("/reviews")).status_code == 303
    proxied = await gateway.post("/login", data=form, headers=SAME_ORIGIN | {"X-Forwarded-Proto": "https"})
    assert "Secure" in proxied.headers["set-cookie"].split("; ")


async def test_a_wrong_key_is_refused_in_words(gateway: httpx.AsyncClient) -> None:
    """401, no cookie, and what to do."""
    for key in ("", "pm_x_y", "nonsense"):
        answer = await gateway.post("/login", data={"key": key}, headers=SAME_ORIGIN)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False), key
        assert "pointsman keys create" in answer.text
    assert (await gateway.post("/login", data={"key": "pm_\0_x"}, headers=SAME_ORIGIN)).status_code == 422


async def test_the_login_leads_nowhere_else(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """An address of another site in `next` becomes the first page."""
    evil = "evil.example"
    for path in (
        f"https://{evil}",
        f"//{evil}",
        f"/\\{evil}",
        f"/\t/{evil}",
        f"javascript:{evil}",
        evil,
        f"/a\\{evil}",
    ):
        gateway.cookies.clear()
        answer = await gateway.post("/login", data={"key": keys.viewer, "next": path}, headers=SAME_ORIGIN)
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), path
        assert evil not in (await gateway.get("/login", params={"next": path})).text
    gateway.cookies.clear()
    answer = await gateway.get("/counts", headers=HTMX | {"HX-Current-URL": f"https://{evil}//{evil}"})
    assert answer.headers["hx-redirect"] == "/login?next=%2F"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
    ids=["nothing", "cross-site", "none", "other origin", "null origin"],
)
async def test_a_form_of_another_site_is_refused(
    gateway: httpx.AsyncClient, keys: Keys, waiting: int, headers: dict[str, str]
) -> None:
    """403, although the cookie is right."""
    await gateway.post("/login", data={"key": keys.agent}, headers=SAME_ORIGIN)
    cookie = {"Cookie": f"{COOKIE}={gateway.cookies[COOKIE]}"}
    form = {"group": "Network & VPN", "key": keys.agent}
    for path in ("/login", "/logout", "/tickets/1/review", "/tickets/1/feedback", "/reviews/1"):
        answer = await gateway.post(path, data=form, headers=cookie | headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False), path


async def test_a_browser_without_fetch_metadata_is_known_by_its_origin(
    gateway: httpx.AsyncClient, keys: Keys, waiting: int
) -> None:
    """Over plain HTTP browsers send no Sec-Fetch-Site; our own Origin will do."""
    await gateway.post("/login", data={"key": keys.agent}, headers=SAME_ORIGIN)
    headers = {"Origin": "http://gateway.test"}
    answer = await gateway.post(f"/reviews/{waiting}", data={"group": "Network & VPN"}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["referrer-policy"] == "same-origin"


async def test_a_viewer_reads_but_is_offered_no_answer(gateway: httpx.AsyncClient, keys: Keys, waiting: int) -> None:
    """The pages show the ticket; forms to answer are for agents only."""
    for path in ("/", "/reviews", f"/tickets/{waiting}"):
        viewer, agent = [await gateway.get(path, headers=as_(key)) for key in (keys.viewer, keys.agent)]
        assert (viewer.status_code, agent.status_code) == (200, 200)
        assert "VPN drops" in viewer.text
        assert not re.search("Accept Network|<form[^>]* hx-post", viewer.text)
        assert ("Accept Network" in agent.text) == (path != "/")


async def test_a_viewer_cannot_answer(gateway: httpx.AsyncClient, keys: Keys, waiting: int, database: str) -> None:
    """403 in words, into the notice line, and the review stays open."""
    for path in (f"/reviews/{waiting}", f"/tickets/{waiting}/review", f"/tickets/{waiting}/feedback"):
        answer = await gateway.post(path, data={"group": "Network & VPN"}, headers=as_(keys.viewer, HTMX))
        assert (answer.status_code, answer.headers["hx-retarget"]) == (403, "#notice")
        assert "role agent" in answer.text
    with psycopg.connect(database) as conn:
        assert conn.execute("select state from reviews").fetchone() == ("open",)


async def test_what_people_write_stays_text(gateway: httpx.AsyncClient, keys: Keys, database: str) -> None:
    """Markup in a subject, body, id, group, reason or note is shown, never run."""
    add_groups(database)
    evil = decision(
        ATTACK,
        reason=ATTACK,
        priority_reason=ATTACK,
        model_version=ATTACK,
        top3=(ScoredGroup(group=ATTACK, probability=1),),
    )
    ids = await take_in(database, [(ticket(f"A{ATTACK}", subject=ATTACK, body=ATTACK), evil)])
    with psycopg.connect(database) as conn:
        conn.execute("insert into catalogue (kind, name, description) values ('group', %s, %s)", (ATTACK,) * 2)
        conn.execute("update tickets set current_group = %s", (ATTACK,))
    for path in ("/", "/reviews", f"/tickets/{ids[0]}", f"/?{urlencode({'search': ATTACK})}"):
        html = (await gateway.get(path, headers=as_(keys.agent))).text
        assert "&lt;script&gt;alert(1)" in html, path
        assert "<script>" not in html, path
        assert "<img" not in html, path


async def test_pages_hold_nothing_that_the_security_policy_forbids(
    gateway: httpx.AsyncClient, keys: Keys, waiting: int
) -> None:
    """No inline script, style or handler, and no address of another site."""
    files = set()
    for path in ("/", "/reviews", f"/tickets/{waiting}", "/login", "/docs", "/?band=nonsense", "/tickets/99"):
        answer = await gateway.get(path, headers=as_(keys.agent))
        assert answer.headers["content-security-policy"].startswith("default-src 'self'; "), path
        assert "unsafe" not in answer.headers["content-security-policy"], path
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|hx-on|https?://", answer.text), path
        files |= set(re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text))
    assert len(files) == 8
    for address in files:
        assert (await gateway.get(address)).status_code == 200, address


async def test_accepting_closes_the_review_writes_back_and_tells_the_history(
    gateway: httpx.AsyncClient, keys: Keys, waiting: int, database: str
) -> None:
    """The card becomes its outcome; the ticket's page shows who did it and the write-back that waits."""
    answer = await gateway.post(f"/reviews/{waiting}", data={"group": "Network & VPN"}, headers=as_(keys.agent, HTMX))
    assert (answer.status_code, "Accepted: Network &amp; VPN" in answer.text) == (200, True)
    assert ("Undo" in answer.text, "data-review" in answer.text) == (True, False)
    with psycopg.connect(database) as conn:
        assert conn.execute("select state, closed_by from reviews").fetchone() == ("accepted", "agent")
        assert conn.execute("select key, payload->>'group' from outbox").fetchone() == (
            f"{waiting}:review",
            "Network & VPN",
        )
    page = (await gateway.get(f"/tickets/{waiting}", headers=as_(keys.viewer))).text
    told = [
        page.index(words) for words in ("Received from generic", "Human review: Network", "Put into the review queue")
    ]
    assert told == sorted(told)
    for words in (
        "Review: accepted by agent",
        "Write-back waiting",
        "Label: Network",
        "review.accepted",
        "From a review",
    ):
        assert words in page


async def test_accepting_means_the_group_one_saw(
    gateway: httpx.AsyncClient, keys: Keys, waiting: int, database: str
) -> None:
    """A decision that changed after the page was loaded does not change what the button said."""
    with psycopg.connect(database) as conn:
        conn.execute(
            'insert into decisions (ticket_id, workflow_id, decision, "group", band, confidence, shadow) '
            "select ticket_id, 'later', decision || '{\"group\": \"Workplace Hardware\"}', 'Workplace Hardware', band, "
            "1, false from decisions"
        )
    await gateway.post(f"/reviews/{waiting}", data={"group": "Network & VPN"}, headers=as_(keys.agent, HTMX))
    with psycopg.connect(database) as conn:
        assert conn.execute('select state, "group" from reviews').fetchone() == ("corrected", "Network & VPN")


async def test_a_second_answer_is_told_that_it_came_too_late(
    gateway: httpx.AsyncClient, keys: Keys, waiting: int
) -> None:
    """409 in words, in the queue and on the ticket's page; the first answer stays."""
    headers = as_(keys.agent, HTMX)
    await gateway.post(f"/reviews/{waiting}", data={"group": "Identity & Access"}, headers=headers)
    for path in (f"/reviews/{waiting}", f"/tickets/{waiting}/review"):
        answer = await gateway.post(path, data={"group": "Network & VPN"}, headers=headers)
        assert answer.status_code == 409
        assert "not waiting for a review" in answer.text
        assert 'role="alert"' in answer.text
    assert "Review: corrected by agent" in (await gateway.get(f"/tickets/{waiting}", headers=headers)).text
    assert '<td class="group">Identity &amp; Access</td>' in (await gateway.get("/", headers=headers)).text


async def test_a_group_that_does_not_exist_is_refused_beside_the_form(
    gateway: httpx.AsyncClient, keys: Keys, waiting: int
) -> None:
    """422 in words, and the form is there to try again; nothing chosen never passes for acceptance."""
    for path in (f"/reviews/{waiting}", f"/tickets/{waiting}/review"):
        for form, words in (
            ({"group": "Blling"}, "label catalogue"),
            ({"group": ""}, "Choose a group"),
            ({}, "Choose a group"),
        ):
            answer = await gateway.post(path, data=form, headers=as_(keys.agent, HTMX))
            assert (answer.status_code, words in answer.text, "Accept Network" in answer.text) == (422, True, True)


async def test_a_long_form_is_cut_off(gateway: httpx.AsyncClient, keys: Keys, waiting: int) -> None:
    """413 before the form is read whole, logged in or not."""
    for path in ("/login", f"/reviews/{waiting}"):
        answer = await gateway.post(path, data={"key": "x" * 9000}, headers=as_(keys.agent))
        assert answer.status_code == 413


async def test_without_a_proposed_group_only_a_choice_is_offered(
    gateway: httpx.AsyncClient, keys: Keys, database: str
) -> None:
    """The router was down: a person names the group."""
    add_groups(database)
    ids = await take_in(database, [(ticket(), decision(None, top3=(), confidence=0.0, decided_by="fallback"))])
    page = (await gateway.get("/reviews", headers=as_(keys.agent))).text
    assert "Accept" not in page
    assert "Remote access, WLAN and firewalls." in page
    answer = await gateway.post(f"/reviews/{ids[0]}", data={"group": "Network & VPN"}, headers=as_(keys.agent))
    assert "Corrected: Network &amp; VPN" in answer.text


async def test_feedback_on_a_routed_ticket_becomes_a_label(
    gateway: httpx.AsyncClient, keys: Keys, database: str
) -> None:
    """Wrong although sure: an agent says so; nothing is written back."""
    add_groups(database)
    ids = await take_in(database, [(ticket(), decision(band=Band.AUTO_ROUTE))])
    path = f"/tickets/{ids[0]}"
    assert "Wrong group?" in (await gateway.get(path, headers=as_(keys.agent))).text
    answer = await gateway.post(f"{path}/feedback", data={"group": "Identity & Access"}, headers=as_(keys.agent, HTMX))
    assert (answer.status_code, "Noted: Identity &amp; Access" in answer.text) == (200, True)
    with psycopg.connect(database) as conn:
        assert conn.execute('select "group", source from labels').fetchone() == ("Identity & Access", "feedback")
        assert conn.execute("select count(*) from outbox").fetchone() == (0,)
    refused = await gateway.post(f"{path}/feedback", data={"group": "Blling"}, headers=as_(keys.agent, HTMX))
    assert (refused.status_code, "not in the label catalogue" in refused.text) == (422, True)


def listed(html: str) -> list[int]:
    return [int(number) for number in re.findall(r'id="row-(\d+)"', html)]


async def test_filters_narrow_the_list_and_are_kept_when_it_refreshes(
    gateway: httpx.AsyncClient, keys: Keys, database: str
) -> None:
    """Band, group, state and the beginning of an id; the fragment asks again for what it shows."""
    add_groups(database)
    routed = decision("Identity & Access", band=Band.AUTO_ROUTE)
    await take_in(database, [(ticket("A-1"), decision()), (ticket("A-2"), routed), (ticket("B-3"), None)])
    expected = {
        "": [3, 2, 1],
        "band=AUTO_ROUTE": [2],
        "group=Network+%26+VPN": [1],
        "state=received": [3],
        "search=a-": [2, 1],
        "search=3": [3],
        "search=%233": [3],
        "band=ESCALATE": [],
        "search=&band=&group=&state=&before=": [3, 2, 1],
        "search=%25": [],
    }
    for query, ids in expected.items():
        assert listed((await gateway.get(f"/?{query}", headers=as_(keys.viewer))).text) == ids, query
    fragment = (await gateway.get("/?group=Network+%26+VPN&band=", headers=as_(keys.viewer, HTMX))).text
    assert fragment.startswith('<section id="tickets"')
    assert 'hx-get="/?group=Network+%26+VPN"' in fragment


async def test_older_tickets_are_a_page_away(gateway: httpx.AsyncClient, keys: Keys, database: str) -> None:
    """Fifty on a page, each ticket on one of them, the filters kept."""
    await take_in(database, [(ticket(f"A-{i}"), None) for i in range(101)])
    seen, path = [], "/?state=received"
    while path:
        html = (await gateway.get(path, headers=as_(keys.viewer))).text
        seen.append(listed(html))
        older = re.search(r'class="older" href="([^"]+)"', html)
        path = older[1].replace("&amp;", "&") if older else None
    assert [len(page) for page in seen] == [50, 50, 1]
    assert [number for page in seen for number in page] == list(range(101, 0, -1))


async def test_a_filter_that_cannot_be_is_refused_in_words(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """422 as a page, naming the filter."""
    for query in ("band=x", "before=0", "before=99999999999999999999", "search=%00", f"group={'g' * 201}"):
        answer = await gateway.get(f"/?{query}", headers=as_(keys.viewer))
        assert (answer.status_code, f"{query.split('=')[0]}: " in answer.text) == (422, True), query


async def test_a_ticket_in_each_state_has_a_page(gateway: httpx.AsyncClient, keys: Keys, database: str) -> None:
    """Also before it is triaged, when it was filtered, and after its text was erased."""
    ids = await take_in(database, [(ticket(), None)])
    words = {"received": "Being triaged", "filtered": "Left alone", "erased": "The text was erased"}
    for state, shown in words.items():
        with psycopg.connect(database) as conn:
            conn.execute("update tickets set state = %s", (state,))
        assert shown in (await gateway.get(f"/tickets/{ids[0]}", headers=as_(keys.viewer))).text
        assert (await gateway.get("/", headers=as_(keys.viewer))).status_code == 200


async def test_a_tickets_page_tells_what_it_cost_and_what_failed(
    gateway: httpx.AsyncClient, keys: Keys, waiting: int, database: str
) -> None:
    """Model calls with tokens and USD, a dead write-back with its error, notes, and the audit entry's hash."""
    with psycopg.connect(database) as conn:
        conn.execute(
            "insert into llm_calls (ticket_id, workflow_id, step, task, model, prompt_version, input_tokens, "
            "output_tokens, usd, latency_ms, outcome) values "
            "(%s, 'w', 's', 'priority', 'nova-lite', 'priority-3', 1234, 56, 0.00009260, 310, 'ok'), "
            "(%s, 'w2', 's', 'summary', 'own-model', null, 1, 1, null, 1, 'ok')",
            (str(waiting),) * 2,
        )
        conn.execute(
            "insert into outbox (key, kind, connector, ticket_id, payload, state, attempts, last_error) "
            "values ('k', 'write', 'zendesk', %s, '{}', 'dead', 8, 'ConnectorRejected: the ticket is closed')",
            (waiting,),
        )
        conn.execute(
            "insert into notes (ticket_id, kind, workflow_id, body) values (%(id)s, 'summary', 's1', %(summary)s), "
            '(%(id)s, \'related\', \'r1\', \'{"similar": [{"external_id": "H-9", "group": "X", "score": 0.81}]}\')',
            {
                "id": waiting,
                "summary": '{"issue": "VPN fails", "actions": "Renewed", "tags": ["vpn"], "references": [], '
                '"by": "extractive", "prompt_version": null}',
            },
        )
        conn.execute("select audit_append('worker', 'ticket.decided', %s, '{}')", (f"ticket/{waiting}",))
        conn.execute(audit.LINK, (audit.LINK_MAX,))
        row = conn.execute("select hash from audit where action = 'ticket.decided'").fetchone()
        conn.execute("select audit_append('ann', 'feedback.given', %s, '{}')", (f"ticket/{waiting}",))
    assert row is not None
    page = (await gateway.get(f"/tickets/{waiting}", headers=as_(keys.viewer))).text
    for words in (
        "1,234",
        "$0.0000926",
        "price unknown",
        "priority-3",
        "Write-back failed for good",
        "8 attempts",
        "waits to be linked",
        "ConnectorRejected: the ticket is closed",
        "VPN fails",
        "H-9",
        "81%",
        f"{row[0][:10]}…",
    ):
        assert words in page, words


def test_vendored_files_are_the_ones_that_were_checked() -> None:
    """Each has its line with licence and hash, and none is large."""
    table = (STATIC / "vendor" / "README.md").read_text("utf-8")
    files = [file for file in (STATIC / "vendor").iterdir() if file.suffix in (".js", ".css")]
    assert len(files) == 3
    for file in files:
        assert f"| {file.name} |" in table
        assert hashlib.sha256(file.read_bytes()).hexdigest() in table
        assert file.stat().st_size < 2 * 1024 * 1024


def test_placeholders_are_set_off_and_everything_else_is_escaped() -> None:
    """Also around and between placeholders."""
    marked = pages.mark_redacted("<b> <PERSON_1><EMAIL_ADDRESS_12> & <NOT A PLACE>")
    spans = '<span class="hidden-data">person 1</span><span class="hidden-data">e-mail 12</span>'
    assert str(marked) == f"&lt;b&gt; {spans} &amp; &lt;NOT A PLACE&gt;"
    assert str(pages.mark_redacted(None)) == ""


@pytest.mark.parametrize(
    ("age_s", "words"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86_399, "23 h"), (86_400, "1 d")],
)
def test_an_age_is_told_in_its_largest_unit(age_s: int, words: str) -> None:
    """At each edge, and never negative when clocks differ."""
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert pages.ago(now - timedelta(seconds=age_s), now) == words


def test_small_amounts_keep_their_digits() -> None:
    assert [pages.usd(Decimal(text)) for text in ("0.00009260", "1.50", "0")] == ["$0.0000926", "$1.5", "$0"]
