"""The workloads of every stack, rendered once from the contracts that the plans promise."""

from collections.abc import Mapping
from typing import Any

import pytest

from infra.contract import Contract
from k8s.workloads.containers import IMAGES
from k8s.workloads.environment import needs_authority
from k8s.workloads.objects import objects
from k8s.workloads.pods import Rollout
from tests.planned import Plans

AUTHORITY = "-----BEGIN CERTIFICATE-----\nexample\n-----END CERTIFICATE-----\n"
OVERLAYS = tuple((cloud, profile) for cloud in ("aws", "azure", "gcp") for profile in ("dev", "small", "prod"))
Rendered = Mapping[tuple[str, str], list[dict[str, Any]]]


def images() -> dict[str, str]:
    return {name: f"registry.example.com/{name}@sha256:{i:064x}" for i, name in enumerate(IMAGES, 1)}


def rollout_for(contract: Contract) -> Rollout:
    return Rollout(contract, images(), AUTHORITY if needs_authority(contract) else "")


@pytest.fixture(scope="session")
def rollouts(plans: Plans) -> dict[tuple[str, str], Rollout]:
    return {stack: rollout_for(Contract.model_validate(plans[stack].contract)) for stack in OVERLAYS}


@pytest.fixture(scope="session")
def rendered(rollouts: dict[tuple[str, str], Rollout]) -> Rendered:
    return {stack: objects(rollout) for stack, rollout in rollouts.items()}
