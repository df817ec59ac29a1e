"""`pointsman database`: one company, one database; made, migrated, split."""

from typing import Annotated

import typer

from services.cli.output import Format, FormatOption, print_json
from services.cli.target import open_server
from services.core.kit import databases
from services.core.kit.database import migrate
from services.core.kit.schema import NEEDED

app = typer.Typer(no_args_is_help=True, help="One company, one database: made, migrated, split.")
Name = Annotated[str, typer.Option("--name", help="Of the database; as the company when left out.")]


@app.command("create")
def create(
    company: Annotated[str, typer.Argument(help="Whose it is: what its containers have in POINTSMAN_COMPANY.")],
    name: Name = "",
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Make another company's database on the same server, migrated, with its owner's name in it.

    Examples:

      pointsman database create globex

      pointsman database create "Globex GmbH" --name globex
    """
    with open_server() as settings:
        databases.create(settings.database_url.get_secret_value(), name or company, company)
    _report(company, name or company, format)


@app.command("migrate")
def migrate_(format: FormatOption = Format.TABLE) -> None:
    """
    Bring the database of POINTSMAN_DATABASE_URL to this version's revision. Stop the containers first.

    Examples:

      POINTSMAN_COMPANY=acme pointsman database migrate
    """
    with open_server() as settings:
        migrate(settings.database_url.get_secret_value(), settings.company)
    if format is Format.JSON:
        print_json({"company": settings.company, "revision": NEEDED})
    else:
        typer.echo(f"The database of '{settings.company}' is at revision {NEEDED}.")


@app.command("split")
def split(
    tenant: Annotated[str, typer.Argument(help="A tenant of a database that holds several.")],
    name: Name = "",
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Copy one tenant of a database of several into a database of its own. The old one stays as it is.

    Examples:

      pointsman database split globex
    """
    with open_server() as settings:
        databases.split(settings.database_url.get_secret_value(), tenant, name or tenant)
    _report(tenant, name or tenant, format)


def _report(company: str, name: str, format: Format) -> None:
    if format is Format.JSON:
        print_json({"company": company, "database": name, "revision": NEEDED})
        return
    typer.echo(f"The database {name} belongs to '{company}' and is at revision {NEEDED}. Its containers need:")
    typer.echo(f"POINTSMAN_COMPANY={company}\nPOINTSMAN_DATABASE_URL=...the same server.../{name}")
