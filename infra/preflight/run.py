"""This machine first, then the cloud."""

from importlib import import_module
from typing import Any

from infra.checks import Outcome, run_checks
from infra.preflight import local
from infra.settings import Settings


def preflight(settings: Settings, **reach: Any) -> list[Outcome]:
    """
    What is missing before `pulumi up`.

    Args:
        reach: how the cloud is reached when not by its public addresses; a test's server.
    """
    cloud = import_module(f"infra.preflight.{settings.cloud}")
    return run_checks([*local.checks(settings), *cloud.checks(settings, **reach)])
