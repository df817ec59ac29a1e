"""Mock tickets sent as a real system would: opened in the desk, told to the gateway by signed webhook, then watched."""

import asyncio
import itertools
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr
from rich.console import Console
from rich.live import Live
from rich.table import Table

from services.core.connectors.desk_agents import DeskAgents, DeskEvent, NewDeskTicket
from services.core.kit.database import build_pool
from services.core.kit.errors import Unavailable
from services.local.home import Home
from services.local.mock.tickets import MockTicket, hourly, live
from services.local.platform import Running

SHOW_TIMEOUT_S = 120.0
HOUR_S = 3600.0
COLOURS = {"AUTO_ROUTE": "green", "HUMAN_REVIEW": "yellow", "ESCALATE": "red"}
DECISIONS = """
select t.id, t.external_id, t.subject, d.decision from tickets t
left join lateral (select decision from decisions where ticket_id = t.id order by id desc limit 1) d on true
where t.connector = 'desk' and t.external_id = any(%s) order by t.id
"""


@dataclass(frozen=True)
class Sent:
    """A mock ticket that the gateway has accepted, by the desk's id."""

    external_id: str
    mock: MockTicket


def send_and_show(running: Running, count: int) -> None:
    """
    Sends `count` new tickets and shows them until all are decided.

    Raises:
        Unavailable: they were not decided in time.
    """
    seed = int(time.time())  # each start shows other tickets
    sent = asyncio.run(send(running.home, list(itertools.islice(live(seed), count))))
    started = time.monotonic()
    with (
        _connect(running.home) as conn,
        Live(console=wide_console(), refresh_per_second=8, vertical_overflow="visible") as screen,
    ):
        while True:
            running.supervisor.tend()
            rows = conn.execute(DECISIONS, ([ticket.external_id for ticket in sent],)).fetchall()
            screen.update(_table(rows))
            if sum(row["decision"] is not None for row in rows) == len(sent):
                return
            if time.monotonic() - started > SHOW_TIMEOUT_S:
                raise Unavailable(f"The mock tickets were not triaged in time. Logs: {running.home.logs}")
            time.sleep(0.1)


def send_hourly(running: Running) -> None:
    """One test ticket an hour, for as long as the platform runs; the hour's ticket is sent once however often asked."""
    while True:
        asyncio.run(send(running.home, [hourly(datetime.now(UTC))]))
        due = time.monotonic() + HOUR_S
        running.wait(lambda due=due: time.monotonic() >= due)


async def send(home: Home, mocks: list[MockTicket]) -> list[Sent]:
    """Opens the tickets in the desk and posts its signed events to the gateway."""
    secret = SecretStr(home.secrets["desk"])
    async with (
        build_pool(home.postgres.url, min_size=1, max_size=4) as pool,
        httpx.AsyncClient(base_url=home.gateway_url) as http,
    ):
        agents = DeskAgents(pool, tenant=home.settings.tenant)
        sent = []
        for mock in mocks:
            event = await agents.create(
                NewDeskTicket(mock.subject, mock.body, mock.requester_name, mock.requester_email)
            )
            await _post(http, event, secret)
            sent.append(Sent(event.ticket_id, mock))
    return sent


async def _post(http: httpx.AsyncClient, event: DeskEvent, secret: SecretStr) -> None:
    answer = await http.post("/hooks/desk", content=event.body(), headers=event.signed(secret, now=datetime.now(UTC)))
    if answer.status_code not in (200, 202):
        raise Unavailable(f"The gateway refused a mock ticket: {answer.status_code} {answer.text[:200]}")


def _connect(home: Home) -> psycopg.Connection[dict[str, Any]]:
    return psycopg.Connection[dict[str, Any]].connect(home.postgres.url, autocommit=True, row_factory=dict_row)


def wide_console() -> Console:
    """The terminal, or 110 columns in a pipe: a log has no width of its own."""
    console = Console()
    return console if console.is_terminal else Console(width=110)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Tickets as they are triaged", title_justify="left", expand=True)
    table.add_column("ticket", justify="right", no_wrap=True)
    table.add_column("subject (redacted)", no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column("group", no_wrap=True, overflow="ellipsis", ratio=2)
    for name, width in (("conf.", 5), ("band", 12), ("priority", 8), ("time", 7)):
        table.add_column(name, no_wrap=True, min_width=width)
    for row in rows:
        decision = row["decision"]
        if decision is None:
            table.add_row(str(row["id"]), row["subject"] or "", "...", "", "", "", "")
            continue
        colour = COLOURS[decision["band"]]
        table.add_row(
            str(row["id"]),
            row["subject"] or "",
            decision["group"] or "-",
            f"{decision['confidence']:.0%}",
            f"[{colour}]{decision['band']}[/{colour}]",
            decision["priority"] or "-",
            f"{decision['latency_ms'] / 1000:.2f} s",
        )
    return table
