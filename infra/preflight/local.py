"""What this machine must have, whatever the cloud: command lines, and settings that parse."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import yaml

from infra.checks import Check, NotAsExpected, Verdict
from infra.settings import Settings, parse
from services.core.kit.errors import ConfigurationInvalid

STACKS = Path(__file__).parents[1] / "stacks"
_TOOLS = {
    "pulumi": ("version", "https://www.pulumi.com/docs/iac/download-install/"),
    "aws": ("--version", "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"),
    "az": ("version", "https://learn.microsoft.com/cli/azure/install-azure-cli"),
    "gcloud": ("version", "https://cloud.google.com/sdk/docs/install"),
    "kubectl": ("version", "https://kubernetes.io/docs/tasks/tools/"),
}
_OF_CLOUD = {"aws": "aws", "azure": "az", "gcp": "gcloud"}


def load_settings(cloud: str, profile: str, *, root: Path = STACKS) -> Settings:
    """
    A stack's settings, read as Pulumi would read them.

    Raises:
        ConfigurationInvalid: no such cloud or stack, or its settings do not parse.
    """
    if cloud not in _OF_CLOUD:
        raise ConfigurationInvalid(f"No cloud {cloud!r}. Choose one of {', '.join(_OF_CLOUD)}.")
    path = root / cloud / f"Pulumi.{profile}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(one.name for one in path.parent.glob("Pulumi.*.yaml")))
        raise ConfigurationInvalid(
            f"No stack {cloud}/{profile}: {path.name} does not exist. Copy one that does ({there}), in {path.parent}."
        )
    config = yaml.safe_load(path.read_text())["config"]
    return parse(cloud, profile, config[f"pointsman-{cloud}:settings"])


def checks(settings: Settings) -> Iterator[tuple[str, Check]]:
    tools = ["pulumi", _OF_CLOUD[settings.cloud]]
    tools += [] if settings.is_small else ["kubectl"]
    for tool in tools:
        yield f"{tool} is installed", lambda tool=tool: _installed(tool)
    yield "placeholders are replaced", lambda: _own_values(settings)
    if settings.cloud == "azure":
        yield "the budget starts this month or later", lambda: _starts(settings)


def _installed(tool: str) -> str:
    argument, where = _TOOLS[tool]
    if not shutil.which(tool):
        raise NotAsExpected(f"{tool} is not on the PATH", fix=where)
    arguments = [tool, argument, "--client"] if tool == "kubectl" else [tool, argument]
    told = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    return (told.stdout or told.stderr).strip().splitlines()[0][:80]


def _own_values(settings: Settings) -> str:
    samples = {
        "edge.domain": settings.edge.domain or "",
        "observability.alert_email": settings.observability.alert_email or "",
        "ci.repository": settings.ci.repository or "",
        "registry.external_url": settings.registry.external_url or "",
        "account": settings.account,
        "cluster.ssh_public_key": settings.cluster.ssh_public_key or "",
    }
    left = [name for name, value in samples.items() if "example" in value]
    if left:
        raise NotAsExpected(f"Still an example: {', '.join(left)}", fix=f"Edit Pulumi.{settings.environment}.yaml")
    return "every value is your own"


def _starts(settings: Settings) -> str:
    start, now = settings.budget.start_month, datetime.now(UTC).strftime("%Y-%m")
    if start < now:
        fix = f"Set budget.start_month: '{now}' for a new stack; an existing budget is left alone"
        raise NotAsExpected(f"budget.start_month is {start}", fix=fix, verdict=Verdict.WARNING)
    return start
