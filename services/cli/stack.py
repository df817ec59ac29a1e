"""The contract of a stack: from a file, or asked of Pulumi."""

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from services.core.kit.errors import ConfigurationInvalid, InputInvalid

CloudArgument = Annotated[str, typer.Argument(help="aws, azure or gcp")]
ProfileOption = Annotated[str, typer.Option("--profile", help="the stack whose contract is asked for")]
ContractOption = Annotated[Path | None, typer.Option("--contract", help="contract as JSON; without it Pulumi is asked")]


def contract_text(cloud: str, profile: str, contract: Path | None) -> str:
    """
    The contract as JSON.

    Raises:
        InputInvalid: the file cannot be read. ConfigurationInvalid: Pulumi has no such contract.
    """
    return read_text(contract) if contract else _from_pulumi(cloud, profile)


def read_text(path: Path, fix: str = "Write it with: pulumi stack output contract --json") -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not a text"
        raise InputInvalid(f"{path} cannot be read: {reason}. {fix}") from exc


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
