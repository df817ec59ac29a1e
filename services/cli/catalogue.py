"""`pointsman catalogue`: the teams that tickets may be routed to, as a file that can be edited and kept."""

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
import yaml
from pydantic import ValidationError

from services.cli.output import Format, FormatOption, print_json, print_table
from services.cli.target import open_api
from services.core.contracts.catalogue import Catalogue
from services.core.kit.errors import InputInvalid

SHIPPED = "departments.yaml"
COLUMNS = ("name", "department", "system", "priority_threshold", "support_level", "active", "description")

app = typer.Typer(no_args_is_help=True, help="The teams that tickets may be routed to: list, export, import.")


@app.command("list")
def list_teams(format: FormatOption = Format.TABLE) -> None:
    """
    Every team, in the order in which they are offered.

    Examples:

      pointsman catalogue list
    """
    teams = open_api().get("/api/catalogue")["teams"]
    if format is Format.JSON:
        print_json(teams)
    else:
        print_table(COLUMNS, [[team[column] for column in COLUMNS] for team in teams])


@app.command("export")
def export() -> None:
    """
    Print the catalogue as YAML, to be edited and imported again.

    Examples:

      pointsman catalogue export > catalogue.yaml
    """
    typer.echo(yaml.safe_dump(open_api().get("/api/catalogue"), sort_keys=False, allow_unicode=True), nl=False)


@app.command("import")
def import_file(
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="YAML as `export` prints it.")
    ] = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="IT, HR, Finance, Facilities, Security, support.")
    ] = False,
) -> None:
    """
    Make the catalogue what the file says; the next ticket is decided by it.

    Teams that the file does not name are switched off, not deleted.

    Examples:

      pointsman catalogue import catalogue.yaml

      pointsman catalogue import --defaults
    """
    if (file is None) is not defaults:
        raise typer.BadParameter("Give a file, or --defaults, not both.")
    stored = open_api().put("/api/catalogue", json=read_catalogue(file).model_dump(mode="json"))["teams"]
    typer.echo(f"{sum(team['active'] for team in stored)} active teams, {len(stored)} in all.")


def read_catalogue(file: Path | None = None) -> Catalogue:
    """
    A file as `export` prints it; without one the teams that ship.

    Raises:
        InputInvalid: it cannot be read, or is no catalogue.
    """
    try:
        text = file.read_text("utf-8") if file else resources.files("services.cli").joinpath(SHIPPED).read_text("utf-8")
        return Catalogue.model_validate(yaml.safe_load(text))
    except (OSError, UnicodeDecodeError) as exc:
        raise InputInvalid(f"{file} cannot be read ({type(exc).__name__}). It is YAML in UTF-8.") from exc
    except yaml.YAMLError as exc:
        raise InputInvalid(f"The file is no YAML: {exc}") from exc
    except ValidationError as exc:
        problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in exc.errors())
        raise InputInvalid(f"The catalogue cannot be used: {'; '.join(problems)}") from exc
