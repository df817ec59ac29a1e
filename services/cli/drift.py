"""`pointsman drift`: whether tickets are still what they were, as judged day by day, and by which rules."""

from datetime import date, datetime
from typing import Annotated

import psycopg
import typer
from psycopg.rows import dict_row

from services.cli import rules
from services.cli.output import Format, FormatOption, print_json, print_table
from services.cli.target import open_platform
from services.core.contracts.drift import DriftReport, DriftRules, ShiftTest
from services.core.kit.errors import NotFound
from services.core.kit.schema import connected

app = typer.Typer(no_args_is_help=True, help="Whether tickets are still what the model has learnt from.")
NEWEST = "select report from drift_reports order by day desc limit 1"
OF_DAY = "select report from drift_reports where day = %s"
AROUND = """
select max(day) filter (where day < %(day)s) as before, min(day) filter (where day > %(day)s) as after
from drift_reports
"""

rules.add_commands(
    app,
    "drift",
    "drift",
    DriftRules,
    change="Judge by other rules: windows, false alarms a year, least effects. They hold from the next day on.",
    say=lambda chosen: f"A p of {chosen.p_max:.5f} counts from now on, and effects as in: pointsman drift show",
    derive=lambda chosen: {"p_max": chosen.p_max},
)


@app.command("report")
def report(
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The newest unless set.")] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    What the newest daily look found, or a day's: each test with its effect, how likely it is by chance, and since when.

    Examples:

      pointsman drift report

      pointsman drift report --day 2026-11-20 --format json
    """
    with open_platform() as settings, connected(settings) as conn:
        found = _read(conn, day.date() if day else None)
    if format is Format.JSON:
        print_json({"verdict": found.verdict, **found.model_dump(mode="json")})
        return
    columns = ["what", "found", "effect", "counts from", "p", "counts up to", "before", "now"]
    print_table(columns, [_row(one) for one in found.tests])
    windows = f"the {found.now_days} days before it against the {found.before_days} before those"
    typer.echo(f"{found.day}, {windows}: {found.verdict}.")


def _read(conn: psycopg.Connection, day: date | None) -> DriftReport:
    cursor = conn.cursor(row_factory=dict_row)
    row = (cursor.execute(OF_DAY, (day,)) if day else cursor.execute(NEWEST)).fetchone()
    if row:
        return DriftReport.model_validate(row["report"])
    around = cursor.execute(AROUND, {"day": day or date.max}).fetchone() or {}
    if judged := [f"the nearest {way} it is {near}" for way, near in around.items() if near]:
        raise NotFound(f"{day} was not judged; {' and '.join(judged)}.")
    raise NotFound("No day has been judged yet. A running worker does it once a day: pointsman up.")


def _row(one: ShiftTest) -> tuple[str, ...]:
    found = one.why if one.has_shifted is None else f"shifted since {one.since}" if one.has_shifted else "as before"
    effect = "" if one.effect is None else f"{one.effect_name} {one.effect:.3f}"
    p = "" if one.p is None else f"{one.p:.2g} ({one.test})"
    return (one.kind, found, effect, f"{one.least_effect:.3f}", p, f"{one.p_max:.2g}", str(one.before), str(one.now))
