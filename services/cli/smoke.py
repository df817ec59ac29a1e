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
    database_user: Annotated[str, typer.Option(help="who logs in; without it the Gateway's user")] = "",
    format_: FormatOption = Format.TABLE,
) -> None:
    """Looks at each capability of a deployed stack, sends an object and a message, uses it as its pods do."""
    from infra.smoke.run import contract_of
    from infra.smoke.run import smoke as run
    from infra.smoke.use import use

    text = _from_file(contract) if contract else _from_pulumi(cloud, profile)
    stack = contract_of(text, cloud)
    print_outcomes([*run(stack), *use(stack, user=database_user)], format_)


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
