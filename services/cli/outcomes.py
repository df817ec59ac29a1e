"""Prints what preflight and smoke found; exit 1 when something is missing, or could not be asked."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from services.cli.output import Format, print_json, print_table

if TYPE_CHECKING:
    from infra.checks import Outcome


def print_outcomes(outcomes: "Sequence[Outcome]", format_: Format) -> None:
    if format_ is Format.JSON:
        print_json([asdict(outcome) for outcome in outcomes])
    else:
        print_table(["check", "verdict", "fact", "fix"], [(o.name, o.verdict.value, o.fact, o.fix) for o in outcomes])
    if any(o.verdict in ("missing", "unknown") for o in outcomes):
        raise typer.Exit(1)
