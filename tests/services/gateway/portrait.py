"""
Takes a picture of the console with every band in it: `python -m tests.services.gateway.portrait FILE.png`.

The tickets are the mock company's, the gateway and the browser are real; the decisions are made up to show every band.
"""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import psycopg
from psycopg.rows import DictRow, dict_row
from pydantic import SecretStr

from services.core.contracts.decision import Decision
from services.core.contracts.prediction import Band, ScoredGroup
from services.core.contracts.ticket import Ticket
from services.core.kit.database import migrate
from services.core.kit.security import Principal, Role, create_key
from services.gateway import reviewing
from services.gateway.settings import GatewaySettings
from services.local.mock.catalogue import labels
from services.local.mock.tickets import MockTicket, live
from services.local.postgres import EmbeddedPostgres
from tests.conftest import free_port
from tests.services.gateway.browser import chromium, serving
from tests.services.gateway.seed import take_in

TICKETS = 26
SEED = 3
THRESHOLD = 0.88
CONFIDENCE = {"issue": (0.8, 0.99), "ambiguous": (0.45, 0.72), "vague": (0.3, 0.55), "out_of_scope": (0.05, 0.2)}
MODEL = "router-20261116T030412-5e1c0d7a"


def main() -> None:
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        postgres = EmbeddedPostgres(Path(folder), free_port())
        url = postgres.start()
        try:
            migrate(url)
            asyncio.run(_furnish(url))
            _take(url, target)
        finally:
            postgres.stop()


async def _furnish(url: str) -> None:
    rng = Random(SEED)
    with psycopg.connect(url) as conn, conn.cursor() as cursor:
        cursor.executemany(
            "insert into catalogue (kind, name, description, rank) values ('group', %s, %s, %s)",
            [(label.name, label.description, rank) for rank, label in enumerate(labels())],
        )
        cursor.execute(
            "insert into executors values ('worker-0', now() + interval '1 h'), ('worker-1', now() + interval '1 h')"
        )
        cursor.execute(
            "insert into models (version, status, uri, manifest) values (%s, 'champion', '', '{}')",
            (MODEL,),
        )
    mocks = list(islice((mock for mock in live(SEED) if len(mock.subject) > 8), TICKETS))
    pairs = [(_ticket(mock, i, rng), _decision(mock, rng) if i < TICKETS - 1 else None) for i, mock in enumerate(mocks)]
    ids = await take_in(url, pairs)
    await _age(url, ids, rng)


def _ticket(mock: MockTicket, number: int, rng: Random) -> Ticket:
    connector = rng.choice(("zendesk", "zendesk", "generic", "desk"))
    external_id = {"zendesk": f"{48_210 + number * 3}", "generic": f"REQ-{1042 + number}", "desk": f"{number + 1}"}[
        connector
    ]
    return Ticket(
        connector=connector, external_id=external_id, subject=_hidden(mock, "subject"), body=_hidden(mock, "body")
    )


def _hidden(mock: MockTicket, part: str) -> str:
    """The text with the planted personal data replaced as the redactor does it."""
    text = getattr(mock, part)
    spans = sorted((span for span in mock.spans if span.part == part), key=lambda span: span.start)
    for number, span in reversed(list(enumerate(spans, 1))):
        text = f"{text[: span.start]}<{span.label}_{number}>{text[span.end :]}"
    return text


def _decision(mock: MockTicket, rng: Random) -> Decision:
    confidence = rng.uniform(*CONFIDENCE[mock.kind])
    others = rng.sample([label.name for label in labels() if label.name != mock.group], 2)
    band = Band.AUTO_ROUTE if confidence >= THRESHOLD else Band.HUMAN_REVIEW
    if mock.out_of_scope:
        band = Band.ESCALATE
    verdict = "reaches" if band is Band.AUTO_ROUTE else "is below"
    return Decision(
        ticket_id="0",
        group=mock.group,
        confidence=confidence,
        similarity=0.4 + confidence / 2.2,
        band=band,
        top3=tuple(_scored((mock.group, *others), confidence)),
        priority=mock.priority,
        priority_reason="impact medium (team), urgency high (today)",
        priority_by="extractive",
        reason=f"Confidence {confidence:.2f} {verdict} {THRESHOLD}, needed for '{mock.group}'.",
        model_version=MODEL,
        latency_ms=rng.uniform(120, 640),
    )


def _scored(groups: tuple[str, ...], confidence: float) -> Iterator[ScoredGroup]:
    for group, share in zip(groups, (confidence, (1 - confidence) * 0.7, (1 - confidence) * 0.2), strict=True):
        yield ScoredGroup(group=group, probability=share)


async def _age(url: str, ids: list[int], rng: Random) -> None:
    """Ages as of a working day, and two reviews that people have answered."""
    async with await psycopg.AsyncConnection[DictRow].connect(url, autocommit=True, row_factory=dict_row) as conn:
        age_s = 0.0
        for ticket_id in reversed(ids):
            await conn.execute(
                "update tickets set created_at = now() - make_interval(secs => %s) where id = %s", (age_s, ticket_id)
            )
            age_s += rng.expovariate(1 / 95)
        waiting = await (
            await conn.execute("select ticket_id from reviews where state = 'open' order by ticket_id desc")
        ).fetchall()
        agent = Principal("maria", Role.AGENT)
        await reviewing.close_review(conn, waiting[0]["ticket_id"], agent)
        await reviewing.close_review(conn, waiting[1]["ticket_id"], agent, group=labels()[-1].name)


def _take(url: str, target: Path) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        key = create_key(conn, name="maria", role=Role.AGENT)
    with serving(GatewaySettings(database_url=SecretStr(url))) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 860}, color_scheme="light")
        page.goto(f"{address}/login")
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{address}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=target)


if __name__ == "__main__":
    main()
