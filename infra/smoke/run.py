"""Chooses the cloud's checks by the contract and runs them."""

from importlib import import_module
from typing import Any

from infra.checks import Outcome, run_checks
from infra.contract import Contract, read_contract
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


def contract_of(text: str, cloud: str) -> Contract:
    """
    The contract of a stack on `cloud`.

    Raises:
        ConfigurationInvalid: not a contract, an old one, or of another cloud.
    """
    contract = read_contract(text)
    if contract.cloud != cloud:
        raise ConfigurationInvalid(
            f"The contract is of {contract.cloud}, not of {cloud}: name {contract.cloud} instead, or its contract"
        )
    return contract
