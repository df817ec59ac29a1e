"""The layers above a planned stack: their real programs, recorded with the contract that the stack would promise."""

import hashlib
import json
import runpy
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from infra.contract import Contract
from infra.offline.answers import CALLS, OUTPUTS
from infra.offline.plan import STACKS, plain
from infra.offline.recorder import Program, Recording, record
from infra.offline.report import Finding, Layered, LayerPlan, Report, StackPlan
from infra.offline.room import nodes_of
from infra.offline.schema_check import check_inputs
from k8s import joints
from k8s.platform.objects import after, before
from k8s.rules import breaches
from k8s.workloads.containers import IMAGES
from k8s.workloads.environment import needs_authority
from services.core.kit.errors import PointsmanError

LAYERS = ("platform", "workloads")
RECEIVER = "webhook_configs: [{url: https://alerts.example.com/made-up-for-a-plan}]\n"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nmade up for a plan\n-----END CERTIFICATE-----\n"


def with_layers(report: Report) -> Report:
    """The report with what stands on each sound stack; on one whose contract does not hold, nothing can."""
    sound = [s for s in report.stacks if not s.problems]
    layers = tuple(plan_layer(stack, layer) for layer in LAYERS for stack in sound)
    return report.model_copy(update={"layers": layers, "nodes": tuple(row for s in sound for row in nodes_of(s))})


def plan_layer(stack: StackPlan, layer: str) -> LayerPlan:
    try:
        recording = record(program_of(stack, layer), simulate=True)
    except PointsmanError as exc:
        return LayerPlan(cloud=stack.cloud, profile=stack.profile, layer=layer, objects=(), problems=(exc.message,))
    found = _objects(recording)
    return LayerPlan(
        cloud=stack.cloud,
        profile=stack.profile,
        layer=layer,
        objects=tuple(_layered(recording)),
        problems=(*recording.problems, *check_inputs(recording)),
        findings=tuple(_findings(stack, layer, found)),
        seconds=round(recording.seconds, 2),
    )


def program_of(stack: StackPlan, layer: str, promised: Mapping[str, Any] | None = None) -> Program:
    """`promised`: what the stack below says, where that is not what it was planned with."""
    folder = STACKS / layer
    answer = {"outputs": {"contract": promised or stack.contract}, "secretOutputNames": []}
    return Program(
        main=lambda: _run(folder),
        project=yaml.safe_load((folder / "Pulumi.yaml").read_text())["name"],
        stack=f"{stack.cloud}-{stack.profile}",
        config=_config(Contract.model_validate(stack.contract)),
        calls=CALLS,
        outputs={**OUTPUTS, "pulumi:pulumi:StackReference": lambda _: answer},
    )


def _run(folder: Any) -> None:
    runpy.run_path(str(folder / "__main__.py"), run_name="__main__")


def _config(contract: Contract) -> dict[str, str]:
    """Digests that CI has not written yet are made up, and so is an authority that would have to be fetched."""
    images = {name: _digest(contract.registry.images[name]) for name in IMAGES}
    found = {"pointsman:images": json.dumps(images), "pointsman:receiver": RECEIVER}
    if needs_authority(contract):
        found["pointsman:authority"] = AUTHORITY
    return found


def _digest(reference: str) -> str:
    return reference if "@" in reference else f"{reference}@sha256:{hashlib.sha256(reference.encode()).hexdigest()}"


def _objects(recording: Recording) -> list[dict[str, Any]]:
    """As a cluster would be given them, whether one by one or in a file."""
    found: list[dict[str, Any]] = []
    for r in recording.resources.values():
        inputs = plain(r.inputs)
        if {"apiVersion", "kind", "metadata"} <= set(inputs):
            found.append(inputs)
        elif text := _file(r.inputs):
            found += [one for one in yaml.safe_load_all(text) if one]
    return found


def _file(inputs: dict[str, Any]) -> str:
    """The text of an object in a bucket; Google's provider calls every content a secret."""
    found = inputs.get("content") or inputs.get("source") or ""
    found = found.get("value", "") if isinstance(found, dict) else found
    return found.text if hasattr(found, "text") else found


def _layered(recording: Recording) -> Sequence[Layered]:
    """A file counts as what is in it."""
    rows = [Layered(kind=one["kind"], name=one["metadata"]["name"]) for one in _objects(recording)]
    charts = [r for r in recording.resources.values() if r.type.endswith(":Release")]
    rows += [Layered(kind="Chart", name=f"{r.name} {plain(r.inputs)['version']}") for r in charts]
    rows += [Layered(kind="File", name=r.name) for r in recording.resources.values() if _file(r.inputs)]
    return sorted(rows, key=lambda row: (row.kind, row.name))


def _findings(stack: StackPlan, layer: str, found: list[dict[str, Any]]) -> Sequence[Finding]:
    """The rules on pods and names look at a whole rollout and what it leans on; the platform's pods are its charts'."""
    if layer != "workloads":
        return []
    where, contract = f"{stack.cloud}-{stack.profile}", Contract.model_validate(stack.contract)
    lines = [*breaches(found), *joints.breaches(_below(contract), found)]
    return [Finding(policy=id_, severity="error", resource=where, message=line) for id_, line in lines]


def _below(contract: Contract) -> list[dict[str, Any]]:
    """Nothing where the platform refuses the contract: its own plan says so."""
    try:
        return [*before(contract), *after(contract)]
    except PointsmanError:
        return []
