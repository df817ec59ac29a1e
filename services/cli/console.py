"""`pointsman console`: into the console without typing a key."""

from typing import Annotated

import typer

from services.cli.target import Api, open_api
from services.core.kit.settings import read_settings

BrowserOption = Annotated[bool, typer.Option(help="Open it in the browser, where this terminal has a screen.")]


def console(browser: BrowserOption = True) -> None:
    """
    Print a one-time link that signs a browser in, and open it where there is one.

    The session has the name and role of the key that the command line uses and ends after twelve hours.

    Examples:

      pointsman console

      POINTSMAN_URL=https://triage.example.com POINTSMAN_API_KEY=pm_... pointsman console --no-browser
    """
    invite(open_api(), browser=browser)


def invite(api: Api, *, browser: bool) -> None:
    """Prints the link into the console, and opens it where a person sits before a screen."""
    from services.local.browser import Screen, show

    link = f"{api.url.rstrip('/')}{api.post('/api/console-links')['path']}"
    typer.secho(f"Console: {link}", bold=True)
    typer.echo("The link signs one browser in, once, within ten minutes. A new one: pointsman console")
    if browser and read_settings(Screen).is_there:
        show(link)
