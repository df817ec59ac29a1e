"""`pointsman train`: fits a router on the closed tickets and puts it to work when it passes its gates."""

import os
import subprocess
import sys
from typing import Annotated

import typer

from services.cli.target import open_platform


def train(
    promote: Annotated[bool, typer.Option(help="Serve the new model when it passes its gates.")] = True,
    canary: Annotated[
        bool, typer.Option(help="Let it shadow live tickets first; see `pointsman models canary`.")
    ] = False,
    progress: Annotated[str, typer.Option(help="bar for people, json for programs")] = "bar",
) -> None:
    """
    Fit the router on imported history and on corrections, evaluate, calibrate, register, promote.

    A running router takes the new model over within seconds.

    Examples:

      pointsman history import closed.csv --map group=team && pointsman train
    """
    with open_platform() as settings:
        environment = os.environ | {
            "POINTSMAN_DATABASE_URL": settings.database_url.get_secret_value(),
            "POINTSMAN_OBJECTS_URL": settings.objects_url,
            "POINTSMAN_COMPANY": settings.company,
        }
        command = [sys.executable, "-m", "services.trainer", "--progress", progress]
        done = subprocess.run(
            [*command, *(["--promote"] if promote else []), *(["--canary"] if canary else [])], env=environment
        )
    if done.returncode:
        raise typer.Exit(1)
