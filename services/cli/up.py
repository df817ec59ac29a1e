"""`pointsman up`: the whole platform on this machine."""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from services.cli.console import BrowserOption, invite
from services.cli.target import open_home
from services.core.kit.settings import read_settings

MOCK_TICKETS = 24


class System(StrEnum):
    """The ticketing systems that can run beside the platform."""

    RT = "rt"


def up(
    once: Annotated[
        bool, typer.Option("--once", help="Exit 0 when mock tickets are triaged and the chat answered.")
    ] = False,
    mock: Annotated[int, typer.Option(min=0, help="How many mock tickets to send at the start.")] = MOCK_TICKETS,
    browser: BrowserOption = True,
    hourly: Annotated[bool, typer.Option("--hourly-test-ticket", help="Send one test ticket every hour.")] = False,
    system: Annotated[
        System | None, typer.Option(help="Start this real ticketing system, too, connected: Request Tracker 5.")
    ] = None,
) -> None:
    """
    Start PostgreSQL, router, worker, gateway and chat here, send mock tickets through the signed webhook, keep serving.

    Prints a one-time link into the console and opens it where there is a browser. Ctrl-C stops everything; the data
    stays in .pointsman. Ports: POINTSMAN_GATEWAY_PORT, POINTSMAN_RAG_PORT (the chat), POINTSMAN_POSTGRES_PORT,
    POINTSMAN_ROUTER_HTTP_PORT, POINTSMAN_ROUTER_GRPC_PORT and POINTSMAN_WORKER_METRICS_PORT.

    Examples:

      pointsman up                 serve until Ctrl-C

      pointsman up --once          show mock tickets triaged and a question answered, then exit

      pointsman up --system rt     beside a real Request Tracker (Debian's packages)

      POINTSMAN_GATEWAY_PORT=9080 POINTSMAN_RAG_PORT=9093 pointsman up --mock 0
    """
    from services.cli.docs import home_encoder
    from services.cli.first_model import ensure_model, improve_first_model
    from services.local.conversations import one_answer, start_conversations
    from services.local.demo import send_and_show, send_hourly
    from services.local.home import Home, LocalSettings
    from services.local.platform import platform
    from services.local.systems.beside import SYSTEMS, start_beside

    def say(line: str) -> None:
        typer.echo(line, err=True)

    home = Home(read_settings(LocalSettings))
    beside = SYSTEMS[system](home) if system else None
    if beside:
        home = replace(home, connected=beside.environment)
    try:
        with platform(home, say, ensure_model) as running:
            typer.secho(
                f"Pointsman serves at {home.gateway_url} (API documentation: {home.gateway_url}/docs)", bold=True
            )
            improve_first_model(running, say)
            if beside:
                program = start_beside(running, beside, say)
                user, password = program.sign_in
                typer.secho(f"{beside.system} serves at {program.url} (log in as {user} / {password})", bold=True)
            if mock:
                send_and_show(running, mock)
            if once and not mock:
                return
            start_conversations(running, home_encoder, say)
            if once:
                typer.echo("\n".join(one_answer(running.home)))
                return
            typer.echo(
                f'The chat answers at {home.rag_url}; in a terminal: pointsman ask "How do I reset my password?"'
            )
            invite(open_home(home), browser=browser)
            typer.echo("Ctrl-C stops. Try `pointsman status`, `pointsman tickets`, `pointsman submit FILE --wait`.")
            if hourly:
                send_hourly(running, say)
            running.wait()
    except KeyboardInterrupt:
        if once:
            raise
