"""`pointsman train`: fits a router on the closed tickets and puts it to work when it passes its gates."""

import os
import subprocess
import sys
from enum import StrEnum
from typing import Annotated

import typer

from services.cli.target import open_platform


class Encoder(StrEnum):
    AUTO = "auto"
    FINETUNED = "finetuned"
    FROZEN = "frozen"


def train(
    promote: Annotated[bool, typer.Option(help="Serve the new model when it passes its gates.")] = True,
    canary: Annotated[
        bool, typer.Option(help="Let it shadow live tickets first; see `pointsman models canary`.")
    ] = False,
    encoder: Annotated[
        Encoder, typer.Option(help="frozen: no fine-tuning, a model within a minute; auto: by the number of tickets.")
    ] = Encoder.AUTO,
    progress: Annotated[str, typer.Option(help="bar for people, json for programs")] = "bar",
) -> None:
    """
    Fit the router on imported history and on corrections, evaluate, calibrate, register, promote.

    A running router takes the new model over within seconds.

    Examples:

      pointsman history import closed.csv --map group=team && pointsman train

      pointsman train --canary --encoder frozen
    """
    with open_platform() as settings:
        environment = os.environ | {
            "POINTSMAN_DATABASE_URL": settings.database_url.get_secret_value(),
            "POINTSMAN_OBJECTS_URL": settings.objects_url,
            "POINTSMAN_COMPANY": settings.company,
        }
        command = [sys.executable, "-m", "services.trainer", "--progress", progress, "--encoder", encoder]
        done = subprocess.run(
            [*command, *(["--promote"] if promote else []), *(["--canary"] if canary else [])], env=environment
        )
    if done.returncode < 0:
        typer.echo(f"The training was killed by signal {-done.returncode}. The same command goes on with it.", err=True)
    if done.returncode:
        raise typer.Exit(1)
