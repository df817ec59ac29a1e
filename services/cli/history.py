"""`pointsman history`: closed tickets in, and what is there."""

import re
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from services.cli.output import Format, FormatOption, pairs, print_json, print_table
from services.cli.target import open_platform
from services.core.history.importing import BATCH_ROWS, Job, Observer, Outcome, group_counts, import_rows, position
from services.core.history.redacting import Batch, redact_batch, redaction
from services.core.history.rows import BadRow, Row, open_export
from services.core.kit.schema import connected
from services.core.kit.settings import read_settings
from services.core.text.columns import ColumnsInvalid
from services.local.home import LocalSettings
from services.local.mock.tickets import MOCK_SOURCE, MockTicket
from services.local.mock.tickets import history as mock_history

app = typer.Typer(no_args_is_help=True, help="Closed tickets, for the router to learn from.")
SHOWN_BAD_ROWS = 10
EVERYTHING = datetime(2000, 1, 1, tzinfo=UTC)
PROCESSES = 2  # 130 MB each; redaction is nearly all of an import's time


class System(StrEnum):
    """The ticketing systems that history can be read from."""

    ZENDESK = "zendesk"


Source = tuple[Job, Iterable[Row | BadRow]]


@app.command("import")
def import_(
    file: Annotated[Path | None, typer.Argument(help="CSV, JSON lines or a JSON array; .gz too.")] = None,
    columns: Annotated[str, typer.Option("--map", help="field=column,... where the guess is wrong.")] = "",
    mock: Annotated[int | None, typer.Option(min=1, help="Instead of a file: this many made-up tickets.")] = None,
    system: Annotated[System | None, typer.Option("--from", help="Instead of a file: this ticketing system.")] = None,
    since: Annotated[datetime | None, typer.Option(help="With --from: changed since then; all unless set.")] = None,
    source: Annotated[
        str,
        typer.Option(help="Origin, best the system's name (zendesk); the same with one id is replaced."),
    ] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first rows.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on where an earlier import of the file stopped.")] = True,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Processes that redact.")] = PROCESSES,
    batch_rows: Annotated[int, typer.Option(min=1, max=5000, help="Rows per transaction.")] = BATCH_ROWS,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Bring closed tickets in, redacted. Interrupted? Run it again: it goes on where it stopped.

    Fields for --map, as `pointsman evaluate` takes them: subject, body (or text; columns joined by +), group (needed),
    priority, external_id, requester, created_at, solved_at (or hours), impact, urgency, breached (or kept); channel,
    organisation, product and place are kept as digests, for hours and SLA risk.

    Examples:

      pointsman history import closed.csv

      pointsman history import export.jsonl.gz --map text=title+details,group=team --source servicenow

      pointsman history import --mock 2000

      pointsman history import --from zendesk --since 2025-01-01
    """
    if system is not None:
        if file is not None or mock is not None:
            raise typer.BadParameter("Name a file, --mock N or --from zendesk, only one of them.")
        blank = Job(source or system, "", 0, limit, resume, batch_rows)
        _from_zendesk(blank, (since or EVERYTHING).replace(tzinfo=UTC), format)
        return
    try:
        job, rows = _source(file, columns, mock, source)
    except ColumnsInvalid as exc:
        raise typer.BadParameter(exc.message) from exc
    with open_platform() as settings, connected(settings) as conn:
        job = replace(job, limit=limit, resume=resume, batch_rows=batch_rows)
        outcome, seconds = _import(conn, job, rows, processes=processes)
    _report(outcome, seconds, format)
    if outcome.rows_read and not outcome.rows_stored:
        raise typer.Exit(1)


@app.command("stats")
def stats(format: FormatOption = Format.TABLE) -> None:
    """
    How many closed tickets each group has.

    Examples:

      pointsman history stats --format json
    """
    with open_platform() as settings, connected(settings) as conn:
        groups = group_counts(conn)
    total = sum(row["tickets"] for row in groups)
    if format is Format.JSON:
        print_json({"tickets": total, "groups": groups})
        return
    names = ("group", "tickets", "distinct_texts", "oldest", "newest")
    print_table(names, [[row[name] for name in names] for row in groups])
    typer.echo(f"{total} closed tickets. Next: pointsman train")


def _from_zendesk(job: Job, since: datetime, format: Format) -> None:
    """By its incremental export; the connector's settings say where it is."""
    from services.cli.zendesk_export import SourceSettings, import_export

    zendesk = read_settings(SourceSettings).connectors.zendesk
    job = replace(job, fingerprint=f"{zendesk.base_url} since {since:%Y-%m-%d}")
    redact = partial(map, redact_batch)
    with open_platform() as settings, connected(settings) as conn:
        outcome = import_export(conn, zendesk, since, job, redact, lambda line: typer.echo(line, err=True))
    facts = asdict(outcome)
    print_json(facts) if format is Format.JSON else print_table(("", ""), pairs(facts))


def _source(file: Path | None, columns: str, mock: int | None, source: str) -> Source:
    if file is not None and mock is None:
        return _from_file(file, columns, source)
    if mock is not None and file is None:
        return _from_mock(mock, source)
    raise ColumnsInvalid("Name a file to import, or --mock N for made-up tickets, not both.")


def _from_file(path: Path, columns: str, source: str) -> Source:
    export = open_export(path, columns)
    for line in export.notes:
        typer.echo(line, err=True)
    return Job(source or export.name, export.fingerprint, export.total), export.rows


def _from_mock(n: int, source: str) -> Source:
    """Fixed to the day, so that an import that was killed finds the same tickets again."""
    until = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tickets = (_mock_row(i, ticket) for i, ticket in enumerate(mock_history(n, until=until), start=1))
    return Job(source or MOCK_SOURCE, f"mock {n} until {until.date()}", n), tickets


def _mock_row(line: int, ticket: MockTicket) -> Row:
    return Row(
        line=line,
        external_id=ticket.external_id,
        subject=ticket.subject,
        body=ticket.body,
        group=ticket.group,
        priority=ticket.priority.value,
        created_at=ticket.created_at,
        solved_at=ticket.solved_at,
    )


def _import(
    conn: psycopg.Connection, job: Job, rows: Iterable[Row | BadRow], *, processes: int
) -> tuple[Outcome, float]:
    started = time.monotonic()
    ahead = job.end - position(conn, job)
    with _progress(job, ahead) as observe, redaction(ahead, processes) as redact:
        outcome = import_rows(conn, job, rows, redact, observe)
    return outcome, time.monotonic() - started


@contextmanager
def _progress(job: Job, ahead: int) -> Generator[Observer]:
    """A bar on stderr, and the first bad rows below it; all of them are in a file where there are more."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bad: list[BadRow] = []
    look = (
        TextColumn("Importing {task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*look, console=Console(stderr=True)) as bar:
        task = bar.add_task(job.source, total=job.end, completed=job.end - ahead)

        def observe(batch: Batch) -> None:
            bar.advance(task, len(batch))
            for row in batch:
                if isinstance(row, BadRow):
                    bad.append(row)
                    if len(bad) <= SHOWN_BAD_ROWS:
                        bar.console.print(f"line {row.line}: {row.why}", markup=False)

        try:
            yield observe
        finally:
            if len(bad) > SHOWN_BAD_ROWS:
                kept = _keep_bad_rows(job, bad, is_resumed=ahead < job.end)
                typer.echo(f"... and {len(bad) - SHOWN_BAD_ROWS} more bad rows, all of them in {kept}", err=True)


def _keep_bad_rows(job: Job, rows: list[BadRow], *, is_resumed: bool) -> Path:
    """Below those of the run that this one went on from."""
    folder = read_settings(LocalSettings).home / "imports"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', job.source)}-bad-rows.txt"
    with file.open("a" if is_resumed else "w", encoding="utf-8") as out:
        out.writelines(f"line {row.line}: {row.why}\n" for row in rows)
    return file


def _report(outcome: Outcome, seconds: float, format: Format) -> None:
    facts = {**asdict(outcome), "seconds": round(seconds, 1)}
    if format is Format.JSON:
        print_json(facts)
        return
    print_table(("", ""), pairs(facts))
    typer.echo("Next: pointsman history stats, then pointsman train" if outcome.finished else "Run it again to go on.")
