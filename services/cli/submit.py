"""`pointsman submit`: real tickets from a file, through the real hooks, with real signatures."""

import asyncio
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.output import percent, print_table
from services.cli.sender import ConnectorName, Sender, Submitted
from services.cli.target import open_api
from services.core.contracts.decision import Triaged
from services.core.contracts.prediction import Band
from services.core.history.rows import BadRow, Row, read_rows
from services.core.kit.errors import Unavailable
from services.core.text import columns
from services.core.text.records import inspect

SHOWN_PROBLEMS = 5
SENT_FIELDS = ("subject", "body", "external_id", "requester", "priority")  # all that a new ticket tells


class SubmitFormat(StrEnum):
    TABLE = "table"
    JSONL = "jsonl"


def submit(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV, JSON lines or a JSON array; .gz too.")
    ],
    connector: Annotated[
        ConnectorName, typer.Option(help="Which hook to call, as which system.")
    ] = ConnectorName.GENERIC,
    mapping: Annotated[str, typer.Option("--map", help="Columns, for example subject=title,body=description.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the decisions and print them.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N rows.")] = None,
    truth: Annotated[
        str, typer.Option(help="Column with the right group: with --wait, says how many were right.")
    ] = "",
    run: Annotated[str, typer.Option(help="Name of this run. The same name again goes on where it stopped.")] = "",
    timeout_s: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait for the last decision.")] = 600,
    format: Annotated[
        SubmitFormat, typer.Option("--format", help="table for people, jsonl for programs")
    ] = SubmitFormat.TABLE,
) -> None:
    """
    Send the tickets of a file to the gateway and, with --wait, print how they were triaged.

    Every run sends new tickets. Rows that cannot be used are reported with their line; the exit code is then 1.

    Examples:

      pointsman submit tickets.csv --wait

      pointsman submit closed.csv --wait --truth team

      pointsman submit export.jsonl --map subject=title,body=text --connector zendesk --wait --format jsonl
    """
    try:
        chosen = columns.parse_map(mapping)
        found = inspect(file)
        resolved = columns.resolve(found.columns, chosen, fields=SENT_FIELDS)
        known = columns.resolve(found.columns, {"group": truth}, fields=("group", *SENT_FIELDS)) if truth else {}
    except columns.ColumnsInvalid as exc:
        raise typer.BadParameter(exc.message) from exc
    if found.notice:
        typer.echo(found.notice, err=True)
    rows, bad = _read(found, resolved | {field: column for field, column in known.items() if field == "group"}, limit)
    sender = Sender(open_api(), connector, run or secrets.token_hex(3))
    typer.echo(f"Run {sender.run}: {len(rows)} tickets ({_columns(resolved)}) to {sender.url}", err=True)
    sent = asyncio.run(_send(sender, rows))
    _show([(row.line, why) for row, why in sent.failed])
    if wait:
        answered = _wait(sender, sent, timeout_s=timeout_s, format=format)
        _report(len(answered), sent, bad)
        if truth:
            typer.echo(score(answered, {row.external_id: row.group for row in rows if row.group}), err=True)
    else:
        _print_sent(sent, format)
    if bad or sent.failed:
        raise typer.Exit(1)


def score(answered: list[Triaged], truth: dict[str, str]) -> str:
    """How many of the tickets whose right group is known were right, in all and of those routed without a person."""
    judged = [answer for answer in answered if answer.external_id in truth]
    if not judged:
        return "No ticket has a known group."
    automatic = [answer for answer in judged if answer.band is Band.AUTO_ROUTE]

    def right(answers: list[Triaged]) -> float:
        return sum(answer.group == truth[answer.external_id] for answer in answers) / len(answers)

    line = f"{len(judged)} with a known group: {right(judged):.1%} right."
    share = len(automatic) / len(judged)
    return line + (
        f" Routed without a person: {share:.1%}, of these {right(automatic):.1%} right." if automatic else ""
    )


def _read(found: Any, resolved: dict[str, str], limit: int | None) -> tuple[list[Row], list[BadRow]]:
    rows: list[Row] = []
    bad: list[BadRow] = []
    lines: dict[str, int] = {}
    for entry in read_rows(found, resolved):
        if limit is not None and len(rows) >= limit:
            break
        if isinstance(entry, BadRow):
            bad.append(entry)
        elif entry.external_id in lines:  # the gateway would take it for the same ticket sent again
            bad.append(BadRow(entry.line, f"id {entry.external_id!r} is already on line {lines[entry.external_id]}"))
        else:
            lines[entry.external_id] = entry.line
            rows.append(entry)
    _show([(entry.line, entry.why) for entry in bad])
    return rows, bad


def _show(problems: list[tuple[int, str]]) -> None:
    """The first few: with the gateway in trouble every row has the same one."""
    for line, why in problems[:SHOWN_PROBLEMS]:
        typer.secho(f"line {line}: {why}", fg="yellow", err=True)
    if len(problems) > SHOWN_PROBLEMS:
        typer.secho(f"... and {len(problems) - SHOWN_PROBLEMS} more", fg="yellow", err=True)


def _columns(resolved: dict[str, str]) -> str:
    return ", ".join(f"{field} = {column}" for field, column in resolved.items())


async def _send(sender: Sender, rows: list[Row]) -> Submitted:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Sending", total=len(rows))
        return await sender.send(rows, on_sent=lambda: progress.advance(task))


def _wait(sender: Sender, sent: Submitted, *, timeout_s: float, format: SubmitFormat) -> list[Triaged]:
    """Prints each decision as it comes (jsonl) or all at the end (table), in the file's order where it can."""
    from rich.console import Console
    from rich.progress import Progress

    answered: list[Triaged] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Triaging", total=len(sent.accepted))
        try:
            for triaged in sender.decisions(sent.accepted, timeout_s=timeout_s, say=progress.console.print):
                progress.advance(task)
                answered.append(triaged)
                if format is SubmitFormat.JSONL:
                    typer.echo(triaged.model_dump_json(exclude={"summary"} if triaged.summary is None else None))
        except Unavailable:
            typer.echo(f"Continue with: --run {sender.run}", err=True)
            raise
    if format is SubmitFormat.TABLE:
        print_table(
            ("id", "ticket", "group", "confidence", "band", "priority", "ms"),
            [
                (t.external_id, t.ticket_id, t.group, percent(t.confidence), t.band, t.priority, f"{t.latency_ms:.0f}")
                for t in answered
            ],
        )
    return answered


def _print_sent(sent: Submitted, format: SubmitFormat) -> None:
    if format is SubmitFormat.JSONL:
        for entry in sent.accepted:
            typer.echo(entry.as_json())
    else:
        typer.echo(f"Accepted: {len(sent.accepted)}. See them with: pointsman tickets")


def _report(answered: int, sent: Submitted, bad: list[BadRow]) -> None:
    parts = [
        f"{answered} triaged",
        f"{len(sent.failed)} refused" if sent.failed else "",
        f"{len(bad)} unusable rows" if bad else "",
    ]
    typer.echo(", ".join(part for part in parts if part) + ".", err=True)
