"""`pointsman dead-letters`: effects and workflows that failed for good, and how to try them again."""

from typing import Annotated, Any

import typer

from services.cli.output import Format, FormatOption, print_json, print_table
from services.cli.target import open_api

PAGE = 500

app = typer.Typer(
    no_args_is_help=True, help="What could not be delivered: list it, and replay it once the cause is mended."
)


@app.command("list")
def list_letters(format: FormatOption = Format.TABLE) -> None:
    """
    Write-backs, events and workflows that failed for good, newest first.

    Examples:

      pointsman dead-letters list

      pointsman dead-letters list --format json
    """
    _show(_all(), format, ("id", "kind", "ticket_id", "connector", "attempts", "why", "since"))


@app.command("waiting")
def list_waiting(format: FormatOption = Format.TABLE) -> None:
    """
    Write-backs and events that have failed and are tried again by themselves, oldest first: up to 1,000.

    Examples:

      pointsman dead-letters waiting
    """
    columns = ("id", "kind", "ticket_id", "connector", "attempts", "why", "since", "due_at")
    _show(open_api().get("/api/waiting-letters", limit=1000), format, columns)


def _show(letters: list[dict[str, Any]], format: Format, columns: tuple[str, ...]) -> None:
    if format is Format.JSON:
        print_json(letters)
    elif letters:
        names = tuple("ticket" if name == "ticket_id" else name for name in columns)
        print_table(names, [[letter[name] for name in columns] for letter in letters])
    else:
        typer.echo("None.")


def _all() -> list[dict[str, Any]]:
    """Page by page."""
    api, letters = open_api(), list[dict[str, Any]]()
    page: dict[str, Any] = {"limit": PAGE}
    while found := api.get("/api/dead-letters", **page):
        letters += found
        if len(found) < PAGE:
            break
        page |= {"since": found[-1]["since"], "id": found[-1]["id"]}
    return letters


@app.command("replay")
def replay_letters(
    letter_id: Annotated[str | None, typer.Argument(help="The id that `list` shows.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Try again. Keys stay the same, so what had taken effect after all is not done twice.

    Examples:

      pointsman dead-letters replay 42

      pointsman dead-letters replay --all
    """
    if (letter_id is None) == (not everything):
        raise typer.BadParameter("Give either one id or --all.")
    done = open_api().post("/api/dead-letters/replay", json={"id": letter_id})
    if format is Format.JSON:
        print_json(done)
    else:
        typer.echo(f"Replayed: {done['replayed']}")
    if letter_id is not None and not done["replayed"]:
        raise typer.Exit(1)
