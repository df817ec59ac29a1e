"""`pointsman`: one file per group of commands. Exit codes: 0 done, 1 a problem, 2 the command was called wrongly."""

import sys

import typer

from services.cli import (
    admin,
    ask,
    audit,
    catalogue,
    console,
    cost,
    database,
    dead_letters,
    deploy,
    docs,
    drift,
    evaluate,
    history,
    incidents,
    labels,
    models,
    plan,
    preflight,
    prompts,
    rag,
    redact,
    render,
    retention,
    sla,
    smoke,
    submit,
    tickets,
    train,
    up,
)
from services.core.kit.errors import PointsmanError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
    help="AI support-ticket triage that you own. Start with `pointsman up`.",
)
app.command("up")(up.up)
app.command("console")(console.console)
app.command("ask")(ask.ask)
app.command("submit")(submit.submit)
app.command("status")(tickets.status)
app.command("tickets")(tickets.tickets)
app.command("ticket")(tickets.ticket)
app.command("erase")(tickets.erase)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("plan")(plan.plan)
app.command("preflight")(preflight.preflight)
app.command("smoke")(smoke.smoke)
app.command("render")(render.render)
app.command("deploy")(deploy.deploy)
app.add_typer(cost.app, name="cost")
app.add_typer(history.app, name="history")
app.add_typer(docs.app, name="docs")
app.add_typer(rag.app, name="rag")
app.add_typer(redact.app, name="redact")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(audit.app, name="audit")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(labels.app, name="labels")
app.add_typer(models.app, name="models")
app.add_typer(prompts.app, name="prompts")
app.add_typer(sla.app, name="sla")
app.add_typer(drift.app, name="drift")
app.add_typer(incidents.app, name="incidents")
app.add_typer(retention.app, name="retention")
app.add_typer(admin.app, name="keys")
app.add_typer(database.app, name="database")


def main() -> None:
    """The console script."""
    try:
        app(standalone_mode=True)
    except PointsmanError as exc:
        typer.secho(f"pointsman: {exc.message}", fg="red", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
