"""From a contract and a list of images to YAML: the one place here that reads what others wrote, or fetches."""

import json

import httpx
from pydantic import TypeAdapter, ValidationError

from infra.contract import Contract
from k8s.pages import as_yaml as dumped
from k8s.platform.objects import after
from k8s.workloads.environment import needs_authority
from k8s.workloads.llm import read_self_hosted, settings
from k8s.workloads.objects import objects
from k8s.workloads.own import read_own
from k8s.workloads.pods import Rollout, refuse_other_images
from services.core.kit.errors import InputInvalid, Unavailable

FETCH_S = 20
IMAGES = TypeAdapter(dict[str, str])


def rollout_of(
    contract: Contract,
    *,
    images: str | None = None,
    authority: str | None = None,
    rules: str = "",
    llm: str = "",
    own: str | None = None,
) -> Rollout:
    """
    Raises:
        InputInvalid: the images are no JSON object of references, `llm` describes no model, `own` is not read by
            a container.
        ConfigurationInvalid: a digest is missing, or the machines for what is asked.
        Unavailable: the authority could not be fetched.
    """
    named = dict(contract.registry.images) if images is None else read_images(images)
    chosen = read_self_hosted(llm) if llm else None
    further = read_own(own, settings(contract, chosen)) if own is not None else {}
    known = authority if authority is not None else _authority(contract)
    return Rollout(contract, named, known, rules, chosen, further)


def as_yaml(rollout: Rollout) -> str:
    """On `small` with what waits for the charts: its machine takes two files, and repeats this one until it can."""
    first = after(rollout.contract) if rollout.is_small else []
    return dumped([*first, *objects(rollout)])


def read_images(text: str) -> dict[str, str]:
    """
    Raises:
        InputInvalid: no JSON object of references. ConfigurationInvalid: one is missing, has no digest or is not ours.
    """
    try:
        found = IMAGES.validate_json(text)
    except ValidationError as exc:
        example = json.dumps({"gateway": "registry.example.com/gateway@sha256:..."})
        raise InputInvalid(f"The images are no JSON object of references, such as {example}") from exc
    refuse_other_images(found)
    return found


def _authority(contract: Contract) -> str:
    """Where the contract names an address, the vendor's bundle from there; else what it brings."""
    ca = contract.database.ca
    if not needs_authority(contract) or not ca.startswith("https://"):
        return ca if needs_authority(contract) else ""
    try:
        return httpx.get(ca, timeout=FETCH_S, follow_redirects=True).raise_for_status().text
    except httpx.HTTPError as exc:
        raise Unavailable(f"{ca} does not answer ({type(exc).__name__}). Fetch it and pass --authority FILE.") from exc
