"""Mock tickets sent as a real system would: opened in the desk, told to the gateway by signed webhook, then watched."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr
from rich.live import Live
from rich.table import Table

from services.core.connectors.desk_agents import DeskAgents, DeskEvent, NewDeskTicket
from services.core.kit.database import Pool, build_pool
from services.core.kit.errors import PointsmanError, Unavailable
from services.local.home import Home
from services.local.mock.tickets import MockTicket, hourly, live
from services.local.platform import Running
from services.local.terminal import build_console, cell

SHOW_TIMEOUT_S = 120.0
HOUR_S, AGAIN_S = 3600.0, 60.0  # between test tickets; until one that failed is tried again
PIPE_COLUMNS = 110
COLOURS = {"AUTO_ROUTE": "green", "HUMAN_REVIEW": "yellow", "ESCALATE": "red"}
DECISIONS = """
select t.id, t.external_id, t.subject, d.decision from tickets t
left join lateral (select decision from decisions where ticket_id = t.id order by id desc limit 1) d on true
where t.connector = 'desk' and t.external_id = any(%s) order by t.id
"""
Opener = Callable[[Pool, MockTicket], Awaitable[DeskEvent]]
OPENED = """
select id, coalesce(requester_email, 'requester') as requester, created_at from desk_tickets
where metadata ->> 'mock' = %s order by id limit 1
"""


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
        Live(console=build_console(PIPE_COLUMNS), refresh_per_second=8, vertical_overflow="visible") as screen,
    ):
        while True:
            running.supervisor.tend()
            rows = conn.execute(DECISIONS, (sent,)).fetchall()
            screen.update(_table(rows))
            if sum(row["decision"] is not None for row in rows) == len(sent):
                return
            if time.monotonic() - started > SHOW_TIMEOUT_S:
                raise Unavailable(f"The mock tickets were not triaged in time. Logs: {running.home.logs}")
            time.sleep(0.1)


def send_hourly(running: Running, say: Callable[[str], None]) -> None:
    """One test ticket an hour, for as long as the platform runs."""
    while True:
        was_sent = send_hour(running.home, datetime.now(UTC), say)
        due = time.monotonic() + (HOUR_S if was_sent else AGAIN_S)
        running.wait(lambda due=due: time.monotonic() >= due)


def send_hour(home: Home, at: datetime, say: Callable[[str], None]) -> bool:
    """Sends the hour's ticket, which exists once however often asked; False when that failed, with the reason said."""
    try:
        asyncio.run(_send(home, [hourly(at)], _open_once))
    except (PointsmanError, httpx.HTTPError, psycopg.Error) as exc:
        say(f"The hourly test ticket was not sent ({type(exc).__name__}: {exc}). It is tried again in {AGAIN_S:.0f} s.")
        return False
    return True


async def send(home: Home, mocks: list[MockTicket]) -> list[str]:
    """Opens the tickets in the desk and posts its signed events to the gateway; returns the desk's ids."""
    return await _send(home, mocks, _open)


async def _send(home: Home, mocks: list[MockTicket], opener: Opener) -> list[str]:
    secret = SecretStr(home.secrets["desk"])
    async with (
        build_pool(home.postgres.url, min_size=1, max_size=4) as pool,
        httpx.AsyncClient(base_url=home.gateway_url) as http,
    ):
        sent = []
        for mock in mocks:
            event = await opener(pool, mock)
            await _post(http, event, secret)
            sent.append(event.ticket_id)
    return sent


async def _open(pool: Pool, mock: MockTicket) -> DeskEvent:
    return await DeskAgents(pool).create(
        NewDeskTicket(
            mock.subject, mock.body, mock.requester_name, mock.requester_email, metadata={"mock": mock.external_id}
        )
    )


async def _open_once(pool: Pool, mock: MockTicket) -> DeskEvent:
    """The opening of the desk's ticket, found or made; to the gateway every telling of it is the same delivery."""
    async with pool.connection() as conn:
        found = await (await conn.execute(OPENED, (mock.external_id,))).fetchone()
    delivery_id = f"mock_{mock.external_id}"
    if found is None:
        return replace(await _open(pool, mock), delivery_id=delivery_id)
    return DeskEvent("ticket.created", str(found["id"]), found["requester"], found["created_at"], delivery_id)


async def _post(http: httpx.AsyncClient, event: DeskEvent, secret: SecretStr) -> None:
    answer = await http.post("/hooks/desk", content=event.body(), headers=event.signed(secret, now=datetime.now(UTC)))
    if answer.status_code not in (200, 202):
        raise Unavailable(f"The gateway refused a mock ticket: {answer.status_code} {answer.text[:200]}")


def _connect(home: Home) -> psycopg.Connection[dict[str, Any]]:
    return psycopg.Connection[dict[str, Any]].connect(home.postgres.url, autocommit=True, row_factory=dict_row)


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
            table.add_row(cell(row["id"]), cell(row["subject"]), "...", "", "", "", "")
            continue
        table.add_row(
            cell(row["id"]),
            cell(row["subject"]),
            cell(decision["group"] or "-"),
            f"{decision['confidence']:.0%}",
            cell(decision["band"], COLOURS[decision["band"]]),
            cell(decision["priority"] or "-"),
            f"{decision['latency_ms'] / 1000:.2f} s",
        )
    return table
