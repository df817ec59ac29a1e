"""What commands print: a table for people, JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.local.terminal import build_console, cell

if TYPE_CHECKING:
    from infra.checks import Outcome

PIPE_COLUMNS = 160  # a pipe has no width; rich would assume 80


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table at most as wide as the terminal, or as PIPE_COLUMNS in a pipe; longer cells are folded."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row))
    build_console(PIPE_COLUMNS).print(table)


def print_outcomes(outcomes: "Sequence[Outcome]", format: Format) -> None:
    """What preflight and smoke found; exit 1 when something is missing, or could not be asked."""
    if format is Format.JSON:
        print_json([asdict(outcome) for outcome in outcomes])
    else:
        print_table(["check", "verdict", "fact", "fix"], [(o.name, o.verdict.value, o.fact, o.fix) for o in outcomes])
    if any(o.verdict in ("missing", "unknown") for o in outcomes):
        raise typer.Exit(1)


def percent(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:.{digits}%}"


def pairs(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """A mapping as rows, nested mappings spelled out."""
    return [
        (name, ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else value)
        for name, value in values.items()
    ]
