"""`pointsman sla`: how soon tickets must be solved, as data, and which of them are about to be late."""

from pathlib import Path
from typing import Annotated, Any

import typer
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from services.cli.output import Format, FormatOption, print_json, print_table
from services.cli.rules import read_toml
from services.cli.target import open_platform
from services.core.contracts.sla import SlaRules
from services.core.kit import audit
from services.core.kit.schema import connected

app = typer.Typer(no_args_is_help=True, help="SLA policies and the tickets that are about to miss them.")

KEEP = "insert into sla_rules (rules, by) values (%s, 'operator')"
NEWEST = "select rules, by, at from sla_rules order by id desc limit 1"
ALERTS = """
select a.ticket_id, a."group", a.priority, a.target_hours, a.due_at, a.at, a.why, t.status from sla_alerts a
join tickets t on t.id = a.ticket_id where t.status in ('new', 'open', 'pending') order by a.due_at limit %s
"""


@app.command("import")
def import_rules(file: Annotated[Path, typer.Argument(help="TOML with [calendars.NAME] and [[policies]].")]) -> None:
    """
    Make the policies what the file says; from the next look on, a minute at most, they hold.

    Examples:

      pointsman sla import sla.toml
    """
    rules = read_toml(file, SlaRules)
    with open_platform() as settings, connected(settings) as conn, conn.transaction():
        conn.execute(KEEP, (Jsonb(rules.model_dump(mode="json")),))
        detail = {"policies": len(rules.policies), "calendars": sorted(rules.calendars)}
        audit.append_now(conn, audit.Entry("operator", "sla.changed", "sla", detail))
    typer.echo(f"{len(rules.policies)} policies hold.")


@app.command("show")
def show(format: FormatOption = Format.TABLE) -> None:
    """
    The policies in the order in which they are asked; the first that fits holds.

    Examples:

      pointsman sla show
    """
    with open_platform() as settings, connected(settings) as conn:
        row = conn.cursor(row_factory=dict_row).execute(NEWEST).fetchone()
    rules = SlaRules.stored(row["rules"]) if row else SlaRules()
    if format is Format.JSON:
        print_json(rules.model_dump(mode="json"))
        return
    columns = ["team", "priority", "hours", "calendar", "warned at"]
    print_table(columns, [(p.team or "any", p.priority or "any", p.target_hours, p.calendar or "around the clock",
                           f"{p.warn_at:.0%}") for p in rules.policies])  # fmt: skip


@app.command("at-risk")
def list_at_risk(
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the first to be late first.")] = 50,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Unsolved tickets that were noted as at risk, or are late by now.

    Examples:

      pointsman sla at-risk --format json
    """
    with open_platform() as settings, connected(settings) as conn:
        rows: list[dict[str, Any]] = conn.cursor(row_factory=dict_row).execute(ALERTS, (limit,)).fetchall()
    if format is Format.JSON:
        print_json(rows)
    else:
        columns = ["ticket", "team", "priority", "hours", "due", "noted", "why", "status"]
        print_table(columns, [tuple(row.values()) for row in rows])
