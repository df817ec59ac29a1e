"""Chooses the cloud's checks by the contract and runs them."""

from importlib import import_module
from typing import Any

from infra.checks import Outcome, run_checks
from infra.contract import Contract
from services.core.kit.errors import ConfigurationInvalid

CLOUDS = ("aws", "azure", "gcp")


def smoke(contract: Contract, **reach: Any) -> list[Outcome]:
    """
    Check a deployed stack.

    Args:
        reach: how a cloud is reached when not by its public addresses; a test's server.
    """
    module = import_module(f"infra.smoke.{contract.cloud}")
    return run_checks(module.checks(contract, **reach))


def read_contract(text: str, cloud: str) -> Contract:
    """
    The contract as `pulumi stack output contract --json` prints it.

    Raises:
        ConfigurationInvalid: not a contract, or of another cloud.
    """
    try:
        contract = Contract.model_validate_json(text)
    except ValueError as exc:
        raise ConfigurationInvalid(
            f"This is no contract: {str(exc).splitlines()[0]}. Write it with: pulumi stack output contract --json"
        ) from exc
    if contract.cloud != cloud:
        raise ConfigurationInvalid(f"The contract is of {contract.cloud}, not of {cloud}. Run: smoke {contract.cloud}")
    return contract
