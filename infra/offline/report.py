"""The plan as data: what `pointsman plan --format json` prints and what the cost model reads."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Resource(_Row):
    """One registered resource; a computed input reads `<computed>` in preview and is made up in simulation."""

    urn: str
    type: str
    name: str
    capability: str
    parent: str
    inputs: dict[str, Any]
    protect: bool = False
    depends_on: tuple[str, ...] = Field((), description="URNs that are made before: explicit, by input, by parent")
    ignores: tuple[str, ...] = Field((), description="inputs that count at the making alone: their cloud changes them")


class Finding(_Row):
    policy: str
    severity: str
    resource: str = Field(description="URN, or the stack when the rule is about the whole of it")
    message: str


class StackPlan(_Row):
    cloud: str
    profile: str
    seconds: float
    resources: tuple[Resource, ...]
    contract: dict[str, Any]
    findings: tuple[Finding, ...] = ()
    problems: tuple[str, ...] = ()


class Parity(_Row):
    """How many resources each cloud builds for a capability; -1: the capability is missing there."""

    capability: str
    aws: int = -1
    azure: int = -1
    gcp: int = -1


class Layered(_Row):
    """One object, chart or file of a layer."""

    kind: str
    name: str


class LayerPlan(_Row):
    """What one of the two programs above a cloud's stack would make of its contract."""

    cloud: str
    profile: str
    layer: str
    objects: tuple[Layered, ...]
    problems: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0


class Nodes(_Row):
    """Machines that are always there, and what is asked of them when no ticket comes."""

    cloud: str
    machine: str
    count: int
    is_planned: bool = Field(description="named by the plan; else as many as the requests need")
    have_cpu_m: int
    have_mib: int
    asked_cpu_m: int
    asked_mib: int
    rows: dict[str, int] = Field(description="MiB by container and chart")

    @property
    def left_mib(self) -> int:
        return self.have_mib - self.asked_mib

    @property
    def left_cpu_m(self) -> int:
        return self.have_cpu_m - self.asked_cpu_m


class Report(_Row):
    stacks: tuple[StackPlan, ...]
    parity: tuple[Parity, ...]
    layers: tuple[LayerPlan, ...] = ()
    nodes: tuple[Nodes, ...] = ()

    @property
    def is_clean(self) -> bool:
        parts = (*self.stacks, *self.layers)
        return not any(p.problems or any(f.severity == "error" for f in p.findings) for p in parts)
