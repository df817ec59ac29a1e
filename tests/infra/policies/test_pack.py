"""
The policy pack in its own environment, asked by the wire the engine uses: pulumi_policy itself hands the rules what
was recorded. Slow, because the environment is made first unless `make policies` did.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from infra.offline.plan import CLOUDS
from infra.offline.report import StackPlan
from infra.policies.rules import RULES
from tests.infra.conftest import previewed
from tests.infra.policies.mutations import MISTAKES
from tests.planned import PROFILES, Plans

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
PACK = ROOT / "infra" / "policies"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # how the engine writes a text that only `up` will know
Analyzer = analyzer_pb2_grpc.AnalyzerStub


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack's environment: the one `make policies` made, else one of this test's own."""
    made = PACK / "venv" / "bin" / "python"
    if made.exists():
        return made
    folder = tmp_path_factory.mktemp("pack") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    own = folder / "bin" / "python"
    subprocess.run([own, "-m", "pip", "install", "-q", "-r", str(PACK / "requirements.txt")], check=True)
    return own


@pytest.fixture(scope="module")
def analyzer(python: Path) -> Iterator[Analyzer]:
    """Started as the engine starts it: the SDK's own runner, the pack's folder, a port on standard output."""
    command = [str(python), "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(PACK)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=PACK, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Analyzer(channel)
        finally:
            process.terminate()


def asked(plan: StackPlan) -> analyzer_pb2.AnalyzeStackRequest:
    """A plan as the engine's own message: the stack with its contract, a component per capability, the resources."""
    root = f"urn:pulumi:{plan.profile}::pointsman-{plan.cloud}::pulumi:pulumi:Stack::stack"
    found = [_resource("pulumi:pulumi:Stack", "stack", root, "", {"contract": plan.contract})]
    for capability in sorted({r.capability for r in plan.resources}):
        found.append(_resource("pointsman:index:Part", capability, _part(plan, capability), root, {}))
    for r in plan.resources:
        part, waits_for = _part(plan, r.capability), r.depends_on
        found.append(
            _resource(
                r.type, r.name, r.urn, part, r.inputs, protect=r.protect, ignores=r.ignores, dependencies=waits_for
            )
        )
    return analyzer_pb2.AnalyzeStackRequest(resources=found)


def _part(plan: StackPlan, capability: str) -> str:
    return f"urn:pulumi:{plan.profile}::pointsman-{plan.cloud}::pointsman:index:Part::{capability}"


def _resource(
    type_: str,
    name: str,
    urn: str,
    parent: str,
    inputs: dict[str, Any],
    *,
    protect: bool = False,
    ignores: Sequence[str] = (),
    dependencies: Sequence[str] = (),
) -> analyzer_pb2.AnalyzerResource:
    properties = struct_pb2.Struct()
    properties.update(_unknowns(inputs))
    options = analyzer_pb2.AnalyzerResourceOptions(protect=protect, ignoreChanges=ignores)
    return analyzer_pb2.AnalyzerResource(
        type=type_,
        name=name,
        urn=urn,
        parent=parent,
        properties=properties,
        options=options,
        dependencies=dependencies,
    )


def _unknowns(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unknowns(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_unknowns(item) for item in value]
    return UNKNOWN if value == "<computed>" else value


def answers(analyzer: Analyzer, plan: StackPlan) -> list[tuple[str, str]]:
    return [(d.policyName, d.message) for d in analyzer.AnalyzeStack(asked(plan)).diagnostics]


def test_pack_holds_every_rule(analyzer: Analyzer) -> None:
    """The same registry as the plan's, each rule mandatory."""
    info = analyzer.GetAnalyzerInfo(empty_pb2.Empty())
    assert {p.name for p in info.policies} == {id_.lower() for id_ in RULES}
    assert {p.enforcementLevel for p in info.policies} == {analyzer_pb2.MANDATORY}


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("profile", PROFILES)
def test_our_stacks_pass_the_pack(analyzer: Analyzer, plans: Plans, cloud: str, profile: str) -> None:
    """What the plan finds clean, CrossGuard finds clean."""
    assert answers(analyzer, plans[cloud, profile]) == []


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_a_preview_cannot_know_breaks_no_rule(analyzer: Analyzer, plans: Plans, cloud: str) -> None:
    """A first preview knows no address and no ARN: a rule that needs one keeps silent, and none falls over."""
    assert answers(analyzer, previewed(plans[cloud, "prod"])) == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.rule}-{m.cloud}-{m.what}")
def test_pack_finds_the_mistake(analyzer: Analyzer, plans: Plans, mistake: Any) -> None:
    """Every seeded mistake is refused by the rule it was made for, through pulumi_policy."""
    mutant = mistake.make(plans[mistake.cloud, mistake.profile])
    assert mistake.rule.lower() in {name for name, _ in answers(analyzer, mutant)}
