"""`pointsman retention`: for how long what people wrote is kept, and what goes next."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from services.cli import rules
from services.cli.output import Format, FormatOption, print_json, print_table
from services.cli.target import open_platform
from services.core.contracts.retention import KEPT, Kept, RetentionRules
from services.core.kit.retention import DUE
from services.core.kit.schema import connected

app = typer.Typer(no_args_is_help=True, help="For how long what people wrote is kept.")

rules.add_commands(
    app,
    "retention",
    "retention",
    RetentionRules,
    change="Keep for other times: days after the last change, or never. A worker enforces them within a day, at once "
    "when one starts: count before, with `pointsman retention due FILE`.",
    say=lambda chosen: f"{_said(chosen)} What that is now: pointsman retention due",
)


@app.command("due")
def due(
    file: Annotated[
        Path | None, typer.Argument(help="TOML that is not imported yet; without it the rules that hold")
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    How many would go now, by kind, by the rules of a file or those that hold. Removes nothing.

    Examples:

      pointsman retention due retention.toml

      pointsman retention due --format json
    """
    with open_platform() as settings, connected(settings) as conn:
        held = rules.newest(conn, "retention", RetentionRules)
        if file:
            held = rules.over(held, file)
        found = {kept: (held.days(kept), _count(conn, kept, held.days(kept))) for kept in KEPT}
    if format is Format.JSON:
        print_json({kept: {"days": days, "due": count} for kept, (days, count) in found.items()})
        return
    print_table(("kept", "days", "due"), [(kept, str(days or "never"), str(n)) for kept, (days, n) in found.items()])


def _count(conn: psycopg.Connection, kept: Kept, days: int | None) -> int:
    if days is None:
        return 0
    return conn.execute(DUE[kept].rows, {"until": datetime.now(UTC) - timedelta(days=days)}).rowcount


def _said(chosen: RetentionRules) -> str:
    kept = [f"{name} {days} {'day' if days == 1 else 'days'}" for name in KEPT if (days := chosen.days(name))]
    return f"Kept: {', '.join(kept)}; the rest for good." if kept else "Everything is kept for good."
