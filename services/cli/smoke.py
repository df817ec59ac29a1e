"""`pointsman smoke`: does what `pulumi up` made work?"""

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from services.cli.output import Format, FormatOption, print_outcomes
from services.core.kit.errors import ConfigurationInvalid, InputInvalid


def smoke(
    cloud: Annotated[str, typer.Argument(help="aws, azure or gcp")],
    profile: Annotated[str, typer.Option(help="the stack whose contract is asked for")] = "dev",
    contract: Annotated[Path | None, typer.Option(help="contract as JSON; without it Pulumi is asked")] = None,
    format_: FormatOption = Format.TABLE,
) -> None:
    """One check per capability of a deployed stack, and a round trip of a test object and message."""
    from infra.smoke.run import contract_of
    from infra.smoke.run import smoke as run

    text = _from_file(contract) if contract else _from_pulumi(cloud, profile)
    print_outcomes(run(contract_of(text, cloud)), format_)


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not a text"
        raise InputInvalid(
            f"{path} cannot be read: {reason}. Write it with: pulumi stack output contract --json"
        ) from exc


def _from_pulumi(cloud: str, profile: str) -> str:
    import infra

    folder = Path(infra.__file__).parent / "stacks" / cloud
    if not folder.is_dir():
        raise ConfigurationInvalid(f"No cloud {cloud!r}. Choose aws, azure or gcp.")
    command = ["pulumi", "stack", "output", "contract", "--json", "--stack", profile, "--cwd", str(folder)]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as exc:
        raise ConfigurationInvalid("The Pulumi CLI is not installed. Install it, or pass --contract FILE.") from exc
    except subprocess.CalledProcessError as exc:
        reason = exc.stderr.strip().splitlines()[-1] if exc.stderr.strip() else "no reason given"
        raise ConfigurationInvalid(f"Pulumi has no contract of {cloud}/{profile}: {reason}") from exc
