"""`pointsman status`, `tickets` and `ticket`: what the platform knows, read through its API."""

from typing import Annotated, Any

import typer

from services.cli.output import Format, FormatOption, pairs, percent, print_json, print_table
from services.cli.target import open_api
from services.core.contracts.prediction import Band


def status(format: FormatOption = Format.TABLE) -> None:
    """
    Whether everything runs, and how much of everything there is. Exit 1 unless the platform is well.

    Examples:

      pointsman status

      pointsman status --format json
    """
    api = open_api()
    found = api.health()
    if found["status"] != "down":
        found |= api.get("/api/status")
    if format is Format.JSON:
        print_json(found)
    else:
        print_table(("what", "value"), pairs(found))
    if found["status"] != "ok":
        raise typer.Exit(1)


def tickets(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    band: Annotated[Band | None, typer.Option(help="Only this band.")] = None,
    group: Annotated[str | None, typer.Option(help="Only this group.")] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    The newest tickets with their decisions.

    Examples:

      pointsman tickets --band HUMAN_REVIEW

      pointsman tickets --limit 1000 --format json
    """
    listed = open_api().get("/api/tickets", limit=limit, band=band, group=group)["tickets"]
    if format is Format.JSON:
        print_json(listed)
        return
    columns = ("ticket", "system", "id there", "group", "confidence", "band", "priority", "subject (redacted)")
    print_table(columns, [_row(entry) for entry in listed])


def ticket(
    ticket_id: Annotated[int, typer.Argument(min=1, help="Our number of the ticket.")],
    format: FormatOption = Format.TABLE,
) -> None:
    """
    One ticket: what was decided and why, what happened since, and its audit entries.

    Examples:

      pointsman ticket 17

      pointsman ticket 17 --format json
    """
    found = open_api().get(f"/api/tickets/{ticket_id}")
    if format is Format.JSON:
        print_json(found)
        return
    for title, rows in _sections(found):
        if rows:
            typer.secho(f"\n{title}", bold=True)
            print_table(("", ""), rows)


def _row(entry: dict[str, Any]) -> tuple[Any, ...]:
    decision = entry["decision"] or {}
    shown = (decision.get("group"), percent(decision.get("confidence")), decision.get("band") or entry["state"])
    return (entry["id"], entry["connector"], entry["external_id"], *shown, decision.get("priority"), entry["subject"])


def _sections(found: dict[str, Any]) -> list[tuple[str, list[tuple[Any, Any]]]]:
    head = (
        "id",
        "connector",
        "external_id",
        "status",
        "state",
        "language",
        "current_group",
        "created_at",
        "subject",
        "body",
    )
    decision = found["decisions"][-1] if found["decisions"] else {}
    top = ", ".join(f"{entry['group']} {entry['probability']:.0%}" for entry in decision.get("top3", ()))
    why = (
        "group",
        "confidence",
        "band",
        "reason",
        "priority",
        "priority_reason",
        "model_version",
        "shadow",
        "latency_ms",
    )
    return [
        ("Ticket", [(name, found[name]) for name in head]),
        ("Decision", [*((name, decision[name]) for name in why), ("top three", top)] if decision else []),
        ("Review", pairs(found["review"]) if found["review"] else []),
        ("Labels", [(label["source"], f"{label['group']} {label['at']}") for label in found["labels"]]),
        ("Notes", [(note["kind"], note["body"]) for note in found["notes"]]),
        (
            "Write-backs",
            [
                (letter["key"], f"{letter['state']} {letter['last_error'] or letter['result'] or ''}")
                for letter in found["outbox"]
            ],
        ),
        (
            "Audit",
            [
                (f"{entry['seq'] or 'not linked'} {entry['at']}", f"{entry['actor']} {entry['action']}")
                for entry in found["audit"]
            ],
        ),
    ]


def erase(
    ticket_id: Annotated[int, typer.Argument(min=1, help="The number that `pointsman tickets` shows.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """
    Remove for good what was said in a ticket: texts, summaries, vectors, answers. Its number and audit entries stay.

    The ticketing system keeps its own copy: delete it there.

    Examples:

      pointsman erase 17
    """
    if not yes:
        typer.confirm(f"Remove everything said in ticket {ticket_id}? This cannot be undone", abort=True)
    open_api().post(f"/api/tickets/{ticket_id}/erase")
    typer.echo(f"Ticket {ticket_id} is being erased. The receipt: pointsman ticket {ticket_id}")
