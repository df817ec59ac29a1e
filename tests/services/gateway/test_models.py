"""The page of models: looked at by all, promoted, taken back and tuned by administrators, every change audited."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from services.core.contracts.evidence import Bin, Changed, Confused, Evidence, Held, effect
from services.gateway.settings import GatewaySettings
from services.worker import repository as worker
from services.worker.decide import Gathered, decide
from tests.services.gateway.conftest import Keys
from tests.services.gateway.seed import GROUPS, add_groups, decision, take_in, ticket
from tests.services.gateway.test_console import HTMX, as_
from tests.services.gateway.test_drift_browser import report as drift_report
from tests.services.gateway.test_review_queue import rows, run
from tests.services.gateway.versions_router import VersionsRouter
from tests.services.worker.test_explain import prediction

NETWORK, IDENTITY = "Network & VPN", "Identity & Access"
HELD = (
    Held(group=NETWORK, tickets=((0.95, True), (0.9, True), (0.7, True), (0.6, False))),
    Held(group=IDENTITY, tickets=((0.8, True), (0.5, False))),
)
EVIDENCE = Evidence(
    tickets=8,
    held=HELD,
    reliability=(Bin(said=0.5, right=0.4, tickets=3), Bin(said=0.9, right=0.95, tickets=5)),
    confusion=(Confused(group=NETWORK, said=IDENTITY, tickets=2), Confused(group=NETWORK, said=NETWORK, tickets=4)),
    compared_with="m1",
    changed=(
        Changed(ref="ticket/1", group=NETWORK, before=IDENTITY, now=NETWORK),
        Changed(ref="history/9", group=IDENTITY, before=IDENTITY, now=NETWORK),
    ),
)
MANIFEST = {
    "labels": [*GROUPS],
    "dataset_rows": 1200,
    "bands": {"thresholds": {NETWORK: 0.9, IDENTITY: None}, "target_precision": 0.95},
}
PASSED, FAILED = (
    [{"name": "macro_f1", "passed": True, "detail": "0.9"}],
    [{"name": "champion", "passed": False, "detail": "macro-F1 <b>0.2</b>"}],
)


METRICS = {"accuracy": 0.91, "held_out_rows": 1225.0}
REGISTERED = (
    ("m0", "archived", PASSED),
    ("m1", "champion", PASSED),
    ("m2", "candidate", PASSED),
    ("m3", "candidate", FAILED),
)


@pytest.fixture
async def models(database: str) -> None:
    await furnish(database)


@pytest.fixture
def settings(settings: GatewaySettings) -> Iterator[GatewaySettings]:
    """With a router that finds every version's files whole; test_model_files.py asks a real one."""
    with VersionsRouter() as router:
        yield settings.model_copy(update={"router_url": router.url})


async def furnish(database: str) -> None:
    """A champion before (m0), the champion (m1), a candidate that passed (m2) and one that did not (m3)."""
    add_groups(database)
    await take_in(database, [(ticket("A-1", subject="VPN drops daily"), decision())])
    with psycopg.connect(database) as conn:
        for at, (version, status, gates) in enumerate(REGISTERED):
            conn.execute(
                "insert into models (version, status, uri, manifest, metrics, gates, evidence, created_at, promoted_at)"
                " values (%s, %s, '', %s, %s, %s, %s, now() - make_interval(secs => 9 - %s),"
                " case when %s < 2 then now() - make_interval(secs => 9 - %s) end)",
                (
                    version,
                    status,
                    Jsonb(MANIFEST),
                    Jsonb(METRICS),
                    Jsonb(gates),
                    Jsonb(EVIDENCE.model_dump(mode="json")),
                    at,
                    at,
                    at,
                ),
            )


def told(database: str) -> list[tuple[Any, ...]]:
    entries = rows(database, "select actor, action, subject from audit_log where subject like 'model/%' order by at")
    return [tuple(entry.values()) for entry in entries]


def champion(database: str) -> str:
    return rows(database, "select version from models where status = 'champion'")[0]["version"]


async def test_everyone_sees_gates_figures_curves_and_what_changed(
    gateway: httpx.AsyncClient, keys: Keys, models: None, database: str
) -> None:
    """The champion first, another when chosen; a ticket's title goes with its text; a viewer is offered no change."""
    page = (await gateway.get("/models", headers=as_(keys.viewer))).text
    assert page.index("m1") < page.index("m3") < page.index("m2") < page.index("m0")
    for words in (
        "0.910",
        "<dd>1,225</dd>",
        "2 answered otherwise: 1 now right, 1 now wrong",
        "VPN drops daily",
        "history/9",
    ):
        assert words in page, words
    assert page.count("<polyline") == 2
    confused = page.partition("Taken for one another")[2].partition("</table>")[0]
    assert '<td>Network &amp; VPN</td><td>Identity &amp; Access</td><td class="right">2</td>' in confused
    assert confused.count("<td>") == 2  # what was right is not taken for another
    assert 'method="post"' not in page.split("<main", 1)[1]
    assert "Put into service" not in page
    page = (await gateway.get("/models?version=m3", headers=as_(keys.admin))).text
    assert "macro-F1 &lt;b&gt;0.2" in page
    assert "Put into service all the same" in page
    assert (await gateway.get("/models?version=nope", headers=as_(keys.viewer))).status_code == 404
    run(database, "update tickets set subject = null, body = null, state = 'erased'")
    page = (await gateway.get("/models", headers=as_(keys.viewer))).text
    assert "VPN drops daily" not in page
    assert "ticket/1" in page


async def test_a_versions_card_is_a_click_away_and_runs_nothing(
    gateway: httpx.AsyncClient, keys: Keys, models: None, tmp_path: Path
) -> None:
    """With a policy of its own; where it is not at hand the page says how to get it; nobody sees it without a key."""
    folder = tmp_path / "objects" / "models" / "m1" / "card"
    folder.mkdir(parents=True)
    (folder / "model.html").write_text("<!doctype html><style>p { color: red }</style><p>m1")
    link = "/models/card/m1/model.html"
    assert f'href="{link}"' in (await gateway.get("/models", headers=as_(keys.viewer))).text
    card = await gateway.get(link, headers=as_(keys.viewer))
    assert (card.status_code, card.text[-5:]) == (200, "<p>m1")
    assert card.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    missing = await gateway.get("/models/card/m0/data.html", headers=as_(keys.viewer))
    assert (missing.status_code, "pointsman models card m0" in missing.text) == (404, True)
    assert (await gateway.get("/models/card/m1/manifest.json", headers=as_(keys.viewer))).status_code == 422
    assert (await gateway.get("/models/card/m1%2F..%2Fm0/model.html", headers=as_(keys.viewer))).status_code in (
        404,
        422,
    )
    assert (await gateway.get(link)).status_code == 303


async def test_what_a_threshold_would_do_is_shown_before_it_is_saved(
    gateway: httpx.AsyncClient, keys: Keys, models: None, database: str
) -> None:
    """Of the group and of all: now two of eight by themselves and right; from 60 % on four, three of them right."""
    where = {"version": "m1", "group": NETWORK, "percent": 60}
    told_now = (await gateway.get("/models/threshold", params=where, headers=as_(keys.viewer, HTMX))).text
    assert "50% by itself, 100.0 % of these right → 100% by itself, 75.0 % of these right" in told_now
    assert "All groups: 25% by itself, 100.0 % of these right → 50% by itself, 75.0 % of these right" in told_now
    assert rows(database, "select 1 from thresholds") == []
    never = (await gateway.get("/models/threshold", params={**where, "never": 1}, headers=as_(keys.viewer, HTMX))).text
    assert "0% by itself" in never
    unknown = await gateway.get("/models/threshold", params={**where, "group": "x"}, headers=as_(keys.viewer))
    assert unknown.status_code == 422


async def test_a_threshold_that_was_set_decides_the_next_ticket(
    gateway: httpx.AsyncClient, keys: Keys, models: None, database: str
) -> None:
    """In place of the model's own, for this version alone, and taken back; each change is in the audit log."""
    form = {"version": "m1", "group": NETWORK, "percent": "60"}
    page = await gateway.post("/models/threshold", data=form, headers=as_(keys.admin, HTMX))
    assert (page.status_code, "by admin; its own 90 %" in page.text) == (200, True)
    assert "It holds from the next ticket on." in page.text
    stale = await gateway.post("/models/threshold", data=form | {"version": "m2"}, headers=as_(keys.admin, HTMX))
    assert "It holds once m2 serves." in stale.text
    await gateway.post("/models/threshold", data={**form, "version": "m2", "act": "unset"}, headers=as_(keys.admin))
    async with await psycopg.AsyncConnection.connect(database, row_factory=psycopg.rows.dict_row) as conn:
        known = await worker.catalogue(conn)
    other = prediction(0.7).model_copy(update={"model_version": "m2"})
    least = known.least_of(prediction(0.7))
    assert (least, known.least_of(other), known.least_of(None)) == ({NETWORK: 0.6}, {}, {})
    found = decide(gathered(least, 0.7))
    assert (found.band, "set for" in found.reason) == ("AUTO_ROUTE", True)
    assert decide(gathered(least, 0.5)).band == "HUMAN_REVIEW"
    assert decide(gathered({NETWORK: None}, 0.99)).band == "HUMAN_REVIEW"
    await gateway.post("/models/threshold", data={**form, "act": "unset"}, headers=as_(keys.admin, HTMX))
    assert rows(database, "select 1 from thresholds") == []
    assert [entry[1] for entry in told(database)] == [
        "threshold.set",
        "threshold.set",
        "threshold.unset",
        "threshold.unset",
    ]
    for wrong in ({"percent": "many"}, {"percent": "nan"}, {"percent": "101"}, {"group": "x"}):
        assert (await gateway.post("/models/threshold", data=form | wrong, headers=as_(keys.admin))).status_code == 422


def gathered(least: dict[str, float | None], confidence: float) -> Gathered:
    return Gathered(
        ticket_id="1",
        prediction=prediction(confidence),
        priority=None,
        groups=frozenset(GROUPS),
        shadow=False,
        latency_ms=0,
        least=least,
    )


async def test_a_first_model_says_so_until_another_takes_over(
    gateway: httpx.AsyncClient, keys: Keys, models: None, database: str
) -> None:
    """On every page, which asks every two seconds; and in the list of versions."""
    run(database, "update models set manifest = manifest || '{\"encoder\": \"frozen\"}' where version = 'm1'")
    first = (await gateway.get("/counts", headers=as_(keys.viewer, HTMX))).text
    assert ">first model</dt>" in first
    assert "since" not in first  # of a champion whose promotion nobody wrote down
    page = (await gateway.get("/models", headers=as_(keys.viewer))).text
    assert page.count("first model, without fine-tuning") == 1
    await gateway.post("/models/promote", data={"version": "m2"}, headers=as_(keys.admin, HTMX))
    after = (await gateway.get("/counts", headers=as_(keys.viewer, HTMX))).text
    assert (">model</dt>" in after, 'title="m2"' in after, "since" in after) == (True, True, True)


async def test_the_champion_stands_beside_what_has_drifted(
    gateway: httpx.AsyncClient, keys: Keys, models: None, database: str
) -> None:
    """The newest report in a line, with its page; a candidate has decided nothing that could drift."""
    assert "Drift, " not in (await gateway.get("/models", headers=as_(keys.viewer))).text
    with psycopg.connect(database) as conn:
        for found in (drift_report(date(2026, 11, day), 1) for day in (19, 20)):
            conn.execute(
                "insert into drift_reports (day, report) values (%s, %s)", (found.day, found.model_dump_json())
            )
    page = (await gateway.get("/models", headers=as_(keys.viewer))).text
    assert '<a href="/drift?day=2026-11-20">Drift, 20 Nov</a>: shifted (groups, texts).' in page
    assert "Drift, " not in (await gateway.get("/models?version=m2", headers=as_(keys.viewer))).text


async def test_a_model_is_promoted_and_taken_back(
    gateway: httpx.AsyncClient, keys: Keys, models: None, database: str
) -> None:
    """By an administrator; back to the one before; who did it is in the audit log."""
    done = await gateway.post("/models/promote", data={"version": "m2"}, headers=as_(keys.admin, HTMX))
    assert (done.status_code, champion(database)) == (200, "m2")
    late = await gateway.post("/models/rollback", data={"version": "m1"}, headers=as_(keys.admin, HTMX))
    assert (late.status_code, champion(database)) == (409, "m2")  # what the page showed is not what serves
    back = await gateway.post("/models/rollback", data={"version": "m2"}, headers=as_(keys.admin, HTMX))
    assert (back.status_code, champion(database)) == (200, "m1")
    again = await gateway.post("/models/rollback", data={"version": "m1"}, headers=as_(keys.admin, HTMX))
    assert (again.status_code, champion(database)) == (200, "m0")
    assert (await gateway.post("/models/rollback", data={"version": "m0"}, headers=as_(keys.admin))).status_code == 404
    assert told(database) == [
        ("user/admin", "model.promoted", "model/m2"),
        ("user/admin", "model.rolled_back", "model/m1"),
        ("user/admin", "model.rolled_back", "model/m0"),
    ]


async def test_one_that_did_not_pass_serves_only_with_a_reason(
    gateway: httpx.AsyncClient, keys: Keys, models: None, database: str
) -> None:
    """The gate is named; the reason is kept; the database itself refuses the gateway one without."""
    refused = await gateway.post("/models/promote", data={"version": "m3", "why": " "}, headers=as_(keys.admin, HTMX))
    assert (refused.status_code, "champion" in refused.text, champion(database)) == (409, True, "m1")
    with psycopg.connect(database) as conn, pytest.raises(psycopg.errors.CheckViolation):
        conn.execute("select model_serve('m3', false, '')")
    with psycopg.connect(database) as conn, pytest.raises(psycopg.errors.CheckViolation):
        conn.execute("select model_serve('m2', true, '')")  # never served: not to be gone back to
    why = {"version": "m3", "why": "a team is gone"}
    await gateway.post("/models/promote", data=why, headers=as_(keys.admin, HTMX))
    assert champion(database) == "m3"
    assert [entry[1] for entry in told(database)] == ["model.forced", "model.promoted"]


@pytest.mark.parametrize("path", ["/models/promote", "/models/rollback", "/models/threshold"])
@pytest.mark.parametrize("field", ["version", "group"])
async def test_a_form_with_what_no_text_holds_is_refused(
    gateway: httpx.AsyncClient, keys: Keys, models: None, path: str, field: str
) -> None:
    form = {"version": "m2", "group": NETWORK, "act": "unset", field: "a\x00b"}
    assert (await gateway.post(path, data=form, headers=as_(keys.admin, HTMX))).status_code == 422


@pytest.mark.parametrize("path", ["/models/promote", "/models/rollback", "/models/threshold"])
async def test_nobody_else_changes_a_model(
    gateway: httpx.AsyncClient, keys: Keys, models: None, database: str, path: str
) -> None:
    """Not an agent, not a form of another site."""
    form = {"version": "m1" if path.endswith("rollback") else "m2", "group": NETWORK, "percent": "1"}
    assert (await gateway.post(path, data=form, headers=as_(keys.agent, HTMX))).status_code == 403
    crossed = Keys.header(keys.admin) | {"Sec-Fetch-Site": "cross-site"}
    assert (await gateway.post(path, data=form, headers=crossed)).status_code == 403
    assert (champion(database), rows(database, "select 1 from thresholds")) == ("m1", [])


def test_an_effect_counts_what_reaches_its_groups_threshold() -> None:
    found = effect(HELD, {NETWORK: 0.7, IDENTITY: 0.5}, 8)
    assert (found.automatic, found.right, found.automation, found.precision) == (5, 4, 0.625, 0.8)
    assert effect(HELD, {}, 8).precision is None


async def test_scrapers_hear_of_the_newest_model_and_of_the_champion(
    gateway: httpx.AsyncClient, models: None, database: str
) -> None:
    """A trainer is gone before anybody could ask it: an alert on training that stopped is made of these."""
    told = dict(line.rsplit(" ", 1) for line in (await gateway.get("/metrics")).text.splitlines() if line[0] != "#")
    assert float(told['pointsman_model_accuracy_ratio{which="champion"}']) == 0.91
    assert float(told['pointsman_model_failed_gates{which="newest"}']) == 1
    assert float(told['pointsman_model_failed_gates{which="champion"}']) == 0
    trained = 'pointsman_model_trained_timestamp_seconds{which="%s"}'
    assert float(told[trained % "newest"]) > float(told[trained % "champion"])
    with psycopg.connect(database) as conn:
        conn.execute("delete from models")
    left = (await gateway.get("/metrics")).text
    assert "pointsman_model_trained_timestamp_seconds{" not in left, "before a first training nothing is overdue"
