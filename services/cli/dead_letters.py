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
    letters = _all()
    if format is Format.JSON:
        print_json(letters)
        return
    if not letters:
        typer.echo("None.")
        return
    columns = ("id", "kind", "ticket", "connector", "attempts", "why", "since")
    print_table(
        columns,
        [
            [letter[c] for c in ("id", "kind", "ticket_id", "connector", "attempts", "why", "since")]
            for letter in letters
        ],
    )


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
