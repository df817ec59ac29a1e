"""The typed client: written from the file as it stands, and driving a real gateway over real sockets."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pointsman.client import (
    NotReached,
    PlainTicket,
    Pointsman,
    PointsmanRefused,
    PredictionFeedback,
    Question,
    Replay,
    ReviewAnswer,
    Team,
    Wanted,
)
from services.core.kit.errors import ConfigurationInvalid
from services.gateway import client_file
from tests.conftest import free_port
from tests.services.gateway.seed import add_groups, decision, take_in, ticket
from tests.services.gateway.served import Served, serve

ROOT = Path(__file__).parents[3]


@pytest.fixture
def served(database: str, tmp_path: Path) -> Iterator[Served]:
    add_groups(database)
    with serve(database, tmp_path, POINTSMAN_WORKER_URL="http://127.0.0.1:9") as found:
        yield found


def test_the_client_is_the_one_that_the_openapi_file_gives() -> None:
    assert client_file.FILE.read_text("utf-8") == client_file.client_text(), "run: make contracts"


def test_what_cannot_be_expressed_is_an_error() -> None:
    """Never a field that is silently missing."""
    with pytest.raises(ConfigurationInvalid, match="cannot express"):
        client_file.type_of({"type": "array", "prefixItems": [{"type": "string"}], "items": {"not": {}}})


def test_it_stands_alone() -> None:
    """A program that imports it gets nothing of the platform."""
    code = "import sys, pointsman.client; print([m for m in sys.modules if m.split('.')[0] == 'services'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
    for file in (ROOT / "pointsman").rglob("*.py"):
        names = [n.module or "" for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.ImportFrom)]
        assert not [name for name in names if name.startswith("services")]


async def test_it_drives_a_real_gateway(served: Served, database: str) -> None:
    """Open a ticket, page, read it whole, review it, edit the catalogue and put it back; all answers are typed."""
    [seen] = await take_in(database, [(ticket(), decision())])
    with Pointsman(served.url, served.key) as client:
        opened = client.receive_plain_ticket(PlainTicket(title="VPN", description="drops"), idempotency_key="one")
        again = client.receive_plain_ticket(PlainTicket(title="VPN", description="drops"), idempotency_key="one")
        assert (opened.status, again.status, again.ticket_id) == ("accepted", "duplicate", opened.ticket_id)
        page = client.list_tickets(limit=1)
        assert page.next_before is not None
        assert client.list_tickets(before=page.next_before).tickets[0].id == str(seen)
        assert [row.external_id for row in client.look_tickets_up(Wanted(ids=[seen]))] == ["A-1"]
        [waiting] = client.list_reviews()
        assert waiting.decision is not None
        assert waiting.decision.top3 is not None
        assert waiting.decision.top3[0].group == "Network & VPN"
        assert client.review_ticket(seen, ReviewAnswer(group="Identity & Access")).review == "corrected"
        whole = client.read_ticket(seen)
        assert whole.review is not None
        assert (whole.review.state, whole.labels[0].source, whole.audit[-1].action) == (
            "corrected",
            "review",
            "review.corrected",
        )
        assert client.read_status().tickets == 2
        assert client.replay_dead_letters(Replay())["replayed"] == 0
        catalogue = client.put_team(Team(name="Printing", description="Paper & toner"))
        assert client.replace_catalogue(catalogue).teams[-1].description == "Paper & toner"
        assert client.read_stats(days=1).accuracy.known == 1
        assert client.read_drift().verdict == "too few decisions"
        assert client.read_health().status in ("ok", "degraded")


def test_refusals_are_errors_with_fact_and_fix(served: Served) -> None:
    """A wrong key, a ticket that is not there, unfit input, no worker, no gateway: each tells what it is."""
    with Pointsman(served.url, served.key) as client:
        with pytest.raises(PointsmanRefused, match="There is no ticket 99") as missing:
            client.read_ticket(99)
        assert (missing.value.status, missing.value.error) == (404, "NotFound")
        with pytest.raises(PointsmanRefused, match="either ticket_id or prediction_id") as unfit:
            client.judge_prediction(PredictionFeedback(group="x"))
        assert unfit.value.status == 422
        with pytest.raises(PointsmanRefused, match="POINTSMAN_WORKER_URL"):
            client.predict(Question(title="VPN"))
    with Pointsman(served.url, "pm_no_key") as stranger, pytest.raises(PointsmanRefused) as refused:
        stranger.read_status()
    assert refused.value.status == 401
    with Pointsman(f"http://127.0.0.1:{free_port()}", "pm_no_key") as nobody, pytest.raises(NotReached):
        nobody.read_health()


def test_a_newer_gateway_does_not_break_it() -> None:
    """A field that it does not know is left out; an answer of something in between is a refusal, not a crash."""
    health = {"status": "ok", "version": "9", "dependencies": {"bus": "ok"}, "planets": 9}
    with Pointsman("http://x", "k", http=_answering(httpx.Response(200, json=health))) as client:
        assert client.read_health().version == "9"
    blocked = httpx.Response(502, text="<html>proxy</html>", headers={"retry-after": "7"})
    with Pointsman("http://x", "k", http=_answering(blocked)) as client, pytest.raises(PointsmanRefused) as refused:
        client.read_health()
    assert (refused.value.status, refused.value.retry_after_s) == (502, 7.0)


def _answering(answer: httpx.Response) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(lambda request: answer))
