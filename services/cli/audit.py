"""`pointsman audit`: proves that nobody has changed the record of decisions."""

from dataclasses import asdict
from typing import Annotated

import typer

from services.cli.output import Format, FormatOption, print_json
from services.cli.target import connect, open_platform
from services.core.kit import audit

app = typer.Typer(no_args_is_help=True, help="The append-only, hash-chained log of every decision.")


@app.command("verify")
def verify(
    anchor: Annotated[
        str, typer.Option(help="A head that an earlier run printed: proves that the end was not cut.")
    ] = "",
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Recompute every hash of the chain. Exit 1 when an entry was changed, or removed or inserted before the head.

    A removed end shows only against an anchor: keep the printed head elsewhere and give it next time.

    Examples:

      pointsman audit verify

      pointsman audit verify --anchor 1042:9f3c... --format json
    """
    with open_platform() as settings, connect(settings) as conn:
        report = audit.verify(conn)
        is_anchored = not anchor or audit.has_anchor(conn, anchor)
    is_intact = report.is_intact and is_anchored
    if format is Format.JSON:
        print_json({**asdict(report), "anchored": is_anchored, "intact": is_intact})
    elif is_intact:
        typer.echo(f"The audit chain is intact: {report.entries} entries. Head: {report.head}")
    elif not is_anchored:
        typer.echo(f"The entry {anchor[:80]} is not in the chain any more: its end was cut or written anew.")
    else:
        typer.echo(f"The audit chain is broken at entry {report.first_broken} of {report.entries}.")
    if not is_intact:
        raise typer.Exit(1)


@app.callback()
def _group() -> None:
    """Keeps `verify` a subcommand although it is the only one."""
