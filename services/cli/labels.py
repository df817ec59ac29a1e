"""`pointsman labels`: what people said the right group was, who said it, and where they contradict each other."""

from typing import Annotated, Any

import psycopg
import typer
from psycopg.rows import dict_row

from services.cli.output import Format, FormatOption, print_json, print_table
from services.cli.target import connect, open_platform

app = typer.Typer(no_args_is_help=True, help="Corrections and closing groups: what the next training learns from.")

# As the trainer reads them: a review outranks the group at close, which outranks plain feedback.
NEWEST = """
select l.ticket_id, l."group", l.source, l.by, l.at from labels l join tickets t on t.id = l.ticket_id
where t.state <> 'erased' order by l.at desc limit %s
"""
DISAGREEING = """
select l.ticket_id, jsonb_object_agg(l.source, jsonb_build_object('group', l."group", 'by', l.by)) as said,
       (array_agg(l."group" order by array_position(array['review', 'close', 'feedback'], l.source)))[1] as learnt,
       max(l.at) as at
from labels l join tickets t on t.id = l.ticket_id
where t.state <> 'erased' group by l.ticket_id having count(distinct l."group") > 1 order by max(l.at) desc limit %s
"""

LimitOption = Annotated[int, typer.Option(min=1, help="At most so many, the newest.")]


@app.command("list")
def list_labels(limit: LimitOption = 50, format: FormatOption = Format.TABLE) -> None:
    """
    The newest labels: which group, from a review, feedback or the group at close, and who said it.

    Examples:

      pointsman labels list --limit 10
    """
    rows = _rows(NEWEST, limit)
    if format is Format.JSON:
        print_json(rows)
    else:
        print_table(["ticket", "group", "source", "by", "at"], [tuple(row.values()) for row in rows])


@app.command("disagreements")
def disagreements(limit: LimitOption = 50, format: FormatOption = Format.TABLE) -> None:
    """
    Tickets whose review, feedback and closing group differ, and which of them the next training learns.

    Examples:

      pointsman labels disagreements

      pointsman labels disagreements --format json
    """
    rows = _rows(DISAGREEING, limit)
    if format is Format.JSON:
        print_json(rows)
        return
    columns = ["ticket", "review", "close", "feedback", "learnt"]
    print_table(
        columns, [(row["ticket_id"], *(_said(row, source) for source in columns[1:4]), row["learnt"]) for row in rows]
    )


def _said(row: dict[str, Any], source: str) -> str:
    told = row["said"].get(source)
    return "" if told is None else told["group"] + (f" ({told['by']})" if told["by"] else "")


def _rows(statement: Any, limit: int) -> list[dict[str, Any]]:
    with open_platform() as settings, connect(settings) as conn:
        cursor: psycopg.Cursor[dict[str, Any]] = conn.cursor(row_factory=dict_row)
        return cursor.execute(statement, (limit,)).fetchall()
