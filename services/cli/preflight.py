"""`pointsman preflight`: what is missing before `pulumi up`?"""

from typing import Annotated

import typer

from services.cli.output import Format, FormatOption, print_outcomes


def preflight(
    cloud: Annotated[str, typer.Argument(help="aws, azure or gcp")],
    profile: Annotated[str, typer.Option(help="dev, small or prod: Pulumi.PROFILE.yaml")] = "dev",
    format_: FormatOption = Format.TABLE,
) -> None:
    """Command lines, sign-in, region, quotas to raise and access to models. Exit 1 when something is missing."""
    from infra.preflight.local import load_settings
    from infra.preflight.run import preflight as run

    print_outcomes(run(load_settings(cloud, profile)), format_)
