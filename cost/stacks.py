"""The stacks a question is about: planned now, or read from a plan that was saved."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from infra.offline.report import Report, StackPlan
from services.core.kit.errors import ConfigurationInvalid, InputInvalid

PROFILES = ("small", "dev", "prod")
ALL = "all"


def load_stacks(cloud: str, profile: str, *, saved: Path | None = None) -> list[StackPlan]:
    """
    Stacks by cloud and profile, each of them a name or `all`.

    Args:
        saved: what `pointsman plan --format json` wrote; only its stacks of that cloud and profile count.
    Raises:
        ConfigurationInvalid: no such stack, it does not plan, or the infra set is not installed.
        InputInvalid: `saved` is no plan, or holds no such stack.
    """
    reports = [_read(saved)] if saved else [_plan(cloud, name) for name in _names(profile)]
    found = [stack for report in reports for stack in report.stacks]
    stacks = [s for s in found if cloud in (ALL, s.cloud) and profile in (ALL, s.profile)]
    if not stacks:
        held = ", ".join(f"{stack.cloud}/{stack.profile}" for stack in found)
        raise InputInvalid(f"{saved} holds no stack {cloud}/{profile}, only {held}. Choose with --cloud and --profile.")
    if broken := next((stack for stack in stacks if stack.problems), None):
        raise ConfigurationInvalid(
            f"{broken.cloud}/{broken.profile} does not plan: {broken.problems[0]}. See: pointsman plan"
        )
    return stacks


def _names(profile: str) -> Sequence[str]:
    return PROFILES if profile == ALL else (profile,)


def _plan(cloud: str, profile: str) -> Report:
    # Pulumi and its SDKs are heavy, and a saved plan needs none of them.
    try:
        from infra.offline.plan import CLOUDS, plan_stacks
    except ModuleNotFoundError as exc:
        raise ConfigurationInvalid(f"{exc.name} is not installed. Run: pip install 'pointsman[infra]'") from exc
    return plan_stacks(CLOUDS if cloud == ALL else (cloud,), profile)


def _read(path: Path) -> Report:
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else f"{exc.error_count()} fields do not fit"
        raise InputInvalid(f"{path} is no plan: {why}. Make one: pointsman plan all --format json > {path}") from exc
