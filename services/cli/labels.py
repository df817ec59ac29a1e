"""`pointsman labels`: what people said the right group was, who said it, and where they contradict each other."""

from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from psycopg.rows import dict_row

from services.cli.evaluate import mapping_of
from services.cli.output import Format, FormatOption, print_json, print_table
from services.cli.target import open_platform
from services.core.kit.errors import InputInvalid
from services.core.kit.schema import connected

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


@app.command("simulate")
def simulate(
    train: Annotated[Path, typer.Option(help="Tickets whose group is asked for, one after the other.")],
    test: Annotated[Path, typer.Option(help="Tickets to judge on.")],
    map: Annotated[str, typer.Option(help="Columns, for example text=title+body,label=team.")] = "",
    start: Annotated[int, typer.Option(min=2, help="Random answers before the first round.")] = 100,
    step: Annotated[int, typer.Option(min=1, help="Answers in a round.")] = 50,
    most: Annotated[int, typer.Option(min=2, help="Answers in all.")] = 1_500,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    wanted: Annotated[str, typer.Option(help="Accuracies to be reached.")] = "0.6,0.7,0.8",
    format: FormatOption = Format.TABLE,
) -> None:
    """
    How many answers the review queue needs until a model is right so often, by its order and by chance.

    Examples:

      pointsman labels simulate --train closed.csv --test later.csv --map text=title+body,label=team
    """
    import tempfile
    from dataclasses import asdict

    from services.core.text.hide import build_hide
    from services.trainer import simulate as simulation
    from services.trainer.files import read_file

    mapping, goals, hide = mapping_of(map), _goals(wanted), build_hide()
    asked, judged = (read_file(path, mapping, hide) for path in (train, test))
    with tempfile.TemporaryDirectory(prefix="pointsman-simulate-") as folder:
        pool = simulation.embed(simulation.open_frozen(Path(folder)), asked, judged)
    curve = simulation.simulate(pool, start=start, step=step, most=most, seeds=seeds, wanted=goals)
    if format is Format.JSON:
        print_json(asdict(curve))
        return
    rows = [
        (goal, *("not reached" if way is None else way for way in needed.values()))
        for goal, needed in curve.needed.items()
    ]
    print_table(["accuracy", "answers in the queue's order", "at random"], rows)


def _goals(text: str) -> list[float]:
    """
    Raises:
        InputInvalid: not numbers with commas between them.
    """
    try:
        return [float(goal) for goal in text.split(",")]
    except ValueError as exc:
        raise InputInvalid(f"--wanted {text!r} is not a list of accuracies. For example: 0.6,0.7,0.8") from exc


def _said(row: dict[str, Any], source: str) -> str:
    told = row["said"].get(source)
    return "" if told is None else told["group"] + (f" ({told['by']})" if told["by"] else "")


def _rows(statement: Any, limit: int) -> list[dict[str, Any]]:
    with open_platform() as settings, connected(settings) as conn:
        cursor: psycopg.Cursor[dict[str, Any]] = conn.cursor(row_factory=dict_row)
        return cursor.execute(statement, (limit,)).fetchall()
