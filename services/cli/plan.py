"""`pointsman plan`: the three cloud programs side by side, without a cloud."""

from enum import StrEnum
from typing import Annotated

import typer

from services.core.kit.errors import ConfigurationInvalid


class PlanFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


def plan(
    cloud: Annotated[str, typer.Argument(help="aws, azure, gcp or all")] = "all",
    profile: Annotated[str, typer.Option(help="dev, small or prod: Pulumi.<profile>.yaml")] = "dev",
    format_: Annotated[PlanFormat, typer.Option("--format", help="table, json or markdown")] = PlanFormat.TABLE,
) -> None:
    """Plan stacks offline: resources, posture, policies, contract and parity. Exit 1 on any problem."""
    # Pulumi and its SDKs are heavy, and only this command needs them.
    try:
        from infra.offline.plan import CLOUDS, plan_stacks
        from infra.offline.render import RENDERERS
    except ModuleNotFoundError as exc:
        raise ConfigurationInvalid(f"{exc.name} is not installed. Run: pip install 'pointsman[infra]'") from exc
    clouds = CLOUDS if cloud == "all" else (cloud,)
    report = plan_stacks(clouds, profile)
    typer.echo(RENDERERS[format_.value](report))
    if not report.is_clean:
        raise typer.Exit(1)
