"""
Closed tickets straight out of Zendesk, by its cursor-based incremental export.

Each page is stored together with the cursor after it, so an import that was killed goes on where it stopped, and a
later one brings only what has changed since. Source: developer.zendesk.com, Incremental Exports, cursor-based.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from psycopg import Connection
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.core.connectors import lenient
from services.core.connectors.registry import ConnectorsSettings
from services.core.connectors.zendesk.api import ZendeskApi
from services.core.connectors.zendesk.settings import ZendeskSettings
from services.core.contracts.facts import digests
from services.core.history.importing import UPSERT, Job, alone, record
from services.core.history.redacting import Batch, Redaction
from services.core.history.rows import BadRow, Row
from services.core.kit.errors import ConfigurationInvalid, ConnectorUnavailable, PayloadInvalid

CLOSED = ("solved", "closed")
WAIT_S, WAIT_MAX_S = 10.0, 120.0  # the export is limited to 10 calls in a minute
TRIES = 12  # of one page: some twenty minutes of a Zendesk that is away
START = """
insert into history_imports as i (source, fingerprint) values (%(source)s, %(fingerprint)s)
on conflict (source) do update set fingerprint = excluded.fingerprint, rows_done = 0, rows_bad = 0, cursor = null,
    started_at = now(), finished_at = null
where i.fingerprint <> excluded.fingerprint or not %(resume)s
"""
GO_ON = "select cursor, rows_done from history_imports where source = %s"
REACHED = """
update history_imports set cursor = %(cursor)s, rows_done = rows_done + %(read)s, rows_bad = rows_bad + %(bad)s,
    finished_at = case when %(is_last)s then now() end
where source = %(source)s
"""
GONE = "delete from history where source = %s and external_id = any(%s)"

Say = Callable[[str], None]


class SourceSettings(BaseSettings):
    """The connector's own settings: POINTSMAN_CONNECTORS__ZENDESK__BASE_URL and so on."""

    model_config = SettingsConfigDict(
        env_prefix="POINTSMAN_", env_nested_delimiter="__", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    connectors: ConnectorsSettings = ConnectorsSettings()


@dataclass(frozen=True)
class ExportOutcome:
    """What one run did. `rows_removed`: tickets that were imported before and are open again or deleted."""

    source: str
    rows_read: int
    rows_stored: int
    rows_removed: int
    rows_bad: int
    finished: bool


@dataclass(frozen=True)
class Page:
    closed: list[Row | BadRow]
    others: list[str]  # ids of tickets that are not closed, or not there any more
    read: int
    cursor: str
    is_last: bool


def import_export(
    conn: Connection, settings: ZendeskSettings, since: datetime, job: Job, redact: Redaction, say: Say
) -> ExportOutcome:
    """
    Stores everything up to the end of the export, or to `job.limit` tickets.

    Raises:
        ConfigurationInvalid: Zendesk's address or credentials are not set. ConnectorRejected: they are wrong.
        ConnectorUnavailable: it was away for too long; run it again. Conflict: another process imports this source.
    """
    if not settings.base_url:
        raise ConfigurationInvalid(
            "Zendesk is not configured. Set POINTSMAN_CONNECTORS__ZENDESK__BASE_URL, __EMAIL, __API_TOKEN, __USER_ID."
        )
    with alone(conn, job):
        return asyncio.run(_import(conn, settings, since, job, redact, say))


async def _import(
    conn: Connection, settings: ZendeskSettings, since: datetime, job: Job, redact: Redaction, say: Say
) -> ExportOutcome:
    conn.execute(START, {"source": job.source, "fingerprint": job.fingerprint, "resume": job.resume})
    cursor = _row(conn, job)[0]
    read = stored = removed = bad = 0
    async with httpx.AsyncClient() as http:
        api = ZendeskApi(settings, http)
        groups = {number: name for name, number in (await _patient(api.groups, say)).items()}
        while True:
            page = await _page(api, cursor, since, job, groups, say)
            [safe] = redact([page.closed])
            removed += _store(conn, job, page, safe)
            read, cursor = read + page.read, page.cursor
            stored += sum(isinstance(row, Row) for row in safe)
            bad += sum(isinstance(row, BadRow) for row in safe)
            say(f"{read} tickets read, {stored} closed ones stored.")
            if page.is_last or (job.limit is not None and read >= job.limit):
                return ExportOutcome(job.source, read, stored, removed, bad, page.is_last)


async def _page(
    api: ZendeskApi, cursor: str | None, since: datetime, job: Job, groups: Mapping[str, str], say: Say
) -> Page:
    async def ask() -> dict[str, Any]:
        return await api.export(cursor=cursor, start=since, size=min(job.batch_rows, 1_000))

    found = await _patient(ask, say)
    after = lenient.text(found.get("after_cursor"))
    if not after:
        raise ConnectorUnavailable("Zendesk's export gave no cursor. Run the command again; it goes on from here.")
    rows = [row for row in found.get("tickets") or () if isinstance(row, dict)]
    closed = [raw for raw in rows if raw.get("status") in CLOSED]
    return Page(
        closed=[_to_row(line, raw, groups) for line, raw in enumerate(closed, start=1)],
        others=[str(raw.get("id")) for raw in rows if raw.get("status") not in CLOSED],
        read=len(rows),
        cursor=after,
        is_last=found.get("end_of_stream") is not False,
    )


async def _patient(ask: Callable[[], Any], say: Say) -> Any:
    """The answer, however often Zendesk asks to wait."""
    for attempt in range(TRIES):
        try:
            return await ask()
        except ConnectorUnavailable as exc:
            if attempt == TRIES - 1:
                raise
            told_s = exc.retry_after_s if exc.retry_after_s is not None else WAIT_S * (attempt + 1)
            wait_s = min(told_s, WAIT_MAX_S)
            say(f"Zendesk is to be asked again in {wait_s:.0f} s ({exc.message})")
            await asyncio.sleep(wait_s)
    raise AssertionError("the last attempt raises")


def _store(conn: Connection, job: Job, page: Page, safe: Batch) -> int:
    """Tickets and cursor in one transaction; how many rows went."""
    good = [row for row in safe if isinstance(row, Row)]
    with conn.transaction():
        conn.cursor().executemany(UPSERT, [record(job, row) for row in good])
        gone = conn.execute(GONE, (job.source, page.others)).rowcount
        values = {"cursor": page.cursor, "read": page.read, "bad": len(safe) - len(good), "is_last": page.is_last}
        conn.execute(REACHED, values | {"source": job.source})
    return gone


def _row(conn: Connection, job: Job) -> Any:
    row = conn.execute(GO_ON, (job.source,)).fetchone()
    assert row is not None  # START has put it
    return row


def _to_row(line: int, raw: Mapping[str, Any], groups: Mapping[str, str]) -> Row | BadRow:
    """`solved_at` is the last change: the export has no better time."""
    try:
        raw = lenient.storable(dict(raw), system="zendesk")
        return Row(
            line=line,
            external_id=lenient.external_id(raw.get("id"), where="id"),
            subject=lenient.subject(raw.get("subject")),
            body=lenient.long_text(raw.get("description")),
            group=groups.get(str(raw.get("group_id"))),
            priority=lenient.optional_id(raw.get("priority")),
            created_at=lenient.time(raw.get("created_at")),
            solved_at=lenient.time(raw.get("updated_at")),
            categories=digests(raw | {"channel": lenient.text(lenient.child(raw, "via").get("channel"))}),
        )
    except PayloadInvalid as exc:
        return BadRow(line, exc.message)
