"""Plans stacks side by side: the real programs, recorded twice, checked, and laid out by capability."""

import gc
import json
import runpy
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pulumi.output import Unknown
from pulumi.runtime import rpc
from pydantic import ValidationError

from infra.catalogue import CAPABILITIES
from infra.contract import Contract
from infra.kinds import kinds
from infra.offline.answers import CALLS, OUTPUTS
from infra.offline.recorder import Program, Recording, record
from infra.offline.report import Parity, Report, Resource, StackPlan
from infra.offline.schema_check import check_inputs
from infra.offline.strays import stray_values
from infra.offline.switches import mere_settings, placeless, silences
from infra.policies.rules import check_stack
from services.core.kit.errors import ConfigurationInvalid

STACKS = Path(__file__).parents[1] / "stacks"
CLOUDS = ("aws", "azure", "gcp")


def plan_stacks(clouds: Sequence[str] = CLOUDS, profile: str = "dev", *, root: Path = STACKS) -> Report:
    """
    Plan one profile of each cloud.

    Args:
        root: folder with one Pulumi project per cloud; a test may bring its own.
    Raises:
        ConfigurationInvalid: no such cloud or stack, or its settings do not parse.
    """
    with _garbage_left_lying():
        stacks = tuple(plan_stack(load(cloud, profile, root=root)) for cloud in clouds)
    return Report(stacks=stacks, parity=_parity(stacks))


def load(cloud: str, profile: str, *, root: Path = STACKS) -> Program:
    """The program of a stack with its configuration, as the engine would start it."""
    project, path = root / cloud, root / cloud / f"Pulumi.{profile}.yaml"
    if not path.is_file():
        known = sorted(p.relative_to(root).as_posix() for p in root.glob("*/Pulumi.*.yaml"))
        raise ConfigurationInvalid(f"No stack {cloud}/{profile}. Known: {', '.join(known)}")
    return Program(
        main=lambda: _run_file(project / "__main__.py"),
        project=yaml.safe_load((project / "Pulumi.yaml").read_text())["name"],
        stack=profile,
        config={k: _config_text(v) for k, v in yaml.safe_load(path.read_text())["config"].items()},
        calls=CALLS,
        outputs=OUTPUTS,
    )


def plan_stack(program: Program) -> StackPlan:
    """Record twice, check everything that can be checked without a cloud."""
    simulated, preview = record(program, simulate=True), record(program, simulate=False)
    cloud = program.project.removeprefix("pointsman-")
    contract = plain(simulated.outputs.get("contract", {}))
    problems = [
        *simulated.problems,
        *check_inputs(simulated),
        *stray_values(simulated),
        *_differences(simulated, preview),
        *_missing(simulated),
        *_contract_problems(contract),
        *_silent_records(cloud, simulated),
        *_without_a_place(cloud, simulated),
    ]
    draft = StackPlan(
        cloud=cloud,
        profile=program.stack,
        seconds=round(simulated.seconds + preview.seconds, 2),
        resources=_resources(simulated),
        contract=contract,
        problems=tuple(problems),
    )
    return draft.model_copy(update={"findings": tuple(check_stack(draft))})


@contextmanager
def _garbage_left_lying() -> Generator[None]:
    """Collecting among the SDKs' millions of objects takes half of a plan's time (5.5 s instead of 11.2 s of CPU)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _resources(recording: Recording) -> tuple[Resource, ...]:
    """Sorted by capability and name: registration order is random."""
    order = {name: i for i, name in enumerate(CAPABILITIES)}
    rows = [
        Resource(
            urn=r.urn,
            type=r.type,
            name=r.name,
            capability=capability_of(recording, r.urn),
            parent=r.parent,
            inputs=plain(r.inputs),
            protect=r.protect,
            depends_on=r.depends_on,
            ignores=r.ignores,
        )
        for r in recording.resources.values()
        if r.custom
    ]
    return tuple(sorted(rows, key=lambda r: (order.get(r.capability, 99), r.type, r.name)))


def capability_of(recording: Recording, urn: str) -> str:
    """The name of the outermost component a resource belongs to; empty when it hangs off the stack."""
    name = ""
    while urn in recording.resources:
        r = recording.resources[urn]
        name = name if r.custom else r.name
        urn = r.parent
    return name


def _differences(simulated: Recording, preview: Recording) -> list[str]:
    late = sorted(set(simulated.resources) ^ set(preview.resources))
    return [f"{urn}: created inside apply, so no preview can show it; create it at the top level" for urn in late]


def _missing(recording: Recording) -> list[str]:
    present = {r.name for r in recording.resources.values() if not r.custom}
    return [f"capability {name} is missing: the provider must build it" for name in CAPABILITIES if name not in present]


def _contract_problems(contract: dict[str, Any]) -> list[str]:
    try:
        Contract.model_validate(contract)
    except ValidationError as exc:
        return [f"contract.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()]
    return []


def _silent_records(cloud: str, recording: Recording) -> list[str]:
    types, services = {r.type for r in recording.resources.values()}, kinds(cloud).services
    mere = mere_settings(cloud, types)
    return mere + [line for type_ in sorted(types & set(services)) for line in silences(cloud, type_, services[type_])]


def _without_a_place(cloud: str, recording: Recording) -> list[str]:
    services = kinds(cloud).services
    known = [r for r in recording.resources.values() if r.type in services]
    where = [(r, placeless(cloud, r.type, services[r.type], r.inputs)) for r in known]
    return [f"{r.type} {r.name}: say {path}, or it lies wherever Google puts it" for r, path in where if path]


def _parity(stacks: Sequence[StackPlan]) -> tuple[Parity, ...]:
    counts = {s.cloud: Counter(r.capability for r in s.resources) for s in stacks}
    missing = {s.cloud: {p.split()[1] for p in s.problems if p.startswith("capability ")} for s in stacks}
    return tuple(
        Parity(capability=name, **{c: -1 if name in missing[c] else counts[c][name] for c in counts})
        for name in CAPABILITIES
    )


def _config_text(value: Any) -> str:
    """As the engine hands it to a program: flat strings, objects as JSON, secrets as placeholders."""
    if isinstance(value, dict) and set(value) == {"secure"}:
        return "offline-secret"
    return json.dumps(value) if isinstance(value, dict | list | bool) else str(value)


def plain(value: Any) -> Any:
    """Stable JSON: secrets masked, unknowns named, whole numbers kept whole."""
    if isinstance(value, Unknown):
        return "<computed>"
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return "<secret>"
        return {k: plain(v) for k, v in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _run_file(path: Path) -> None:
    runpy.run_path(str(path), run_name="__main__")
