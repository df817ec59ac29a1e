"""`pointsman incidents`: many alike tickets in a short time, as the worker suggested them, and by which rules."""

from typing import Annotated, Any

import typer
from psycopg.rows import dict_row

from services.cli import rules
from services.cli.output import Format, FormatOption, print_json, print_table
from services.cli.target import open_platform
from services.core.contracts.surge import SurgeRules
from services.core.kit.schema import connected

app = typer.Typer(no_args_is_help=True, help="Many alike tickets in a short time: suggested incidents.")
LIST = """
select i.id, i.state, count(m.ticket_id) as tickets, round(i.expected::numeric, 1)::float as expected, i.at, i.grown_at,
       i.closed_by, array_agg(m.ticket_id order by m.ticket_id) as ticket_ids
from incidents i left join incident_tickets m on m.incident_id = i.id
group by i.id order by i.id desc limit %s
"""

rules.add_commands(
    app,
    "incidents",
    "surge",
    SurgeRules,
    change="Look by other rules: how many tickets, in how many minutes, how many false alarms. They hold at once.",
    say=lambda chosen: f"{chosen.tickets} alike tickets within {chosen.minutes} minutes make an incident.",
)


@app.command("list")
def list_incidents(
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    The newest incidents with how many tickets are in them and how many chance would have brought.

    Examples:

      pointsman incidents list

      pointsman incidents list --format json
    """
    with open_platform() as settings, connected(settings) as conn:
        rows: list[dict[str, Any]] = conn.cursor(row_factory=dict_row).execute(LIST, (limit,)).fetchall()
    if format is Format.JSON:
        print_json(rows)
        return
    columns = ("id", "state", "tickets", "expected", "at", "grown_at", "closed_by")
    print_table(columns, [[row[column] for column in columns] for row in rows])
