"""`pointsman audit`: proves that nobody has changed the record of decisions."""

import psycopg
import typer

from services.cli.output import Format, FormatOption, print_json
from services.cli.target import open_platform
from services.core.kit import audit

app = typer.Typer(no_args_is_help=True, help="The append-only, hash-chained log of every decision.")


@app.command("verify")
def verify(format: FormatOption = Format.TABLE) -> None:
    """
    Recompute every hash of the chain. Exit 1 when an entry was changed, removed or inserted.

    Examples:

      pointsman audit verify

      pointsman audit verify --format json
    """
    with open_platform() as settings, psycopg.connect(settings.database_url.get_secret_value()) as conn:
        report = audit.verify(conn)
    if format is Format.JSON:
        print_json({"entries": report.entries, "intact": report.is_intact, "first_broken": report.first_broken})
    elif report.is_intact:
        typer.echo(f"The audit chain is intact: {report.entries} entries.")
    else:
        typer.echo(f"The audit chain is broken at entry {report.first_broken} of {report.entries}.")
    if not report.is_intact:
        raise typer.Exit(1)


@app.callback()
def _group() -> None:
    """Keeps `verify` a subcommand although it is the only one."""
