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


class Report(_Row):
    stacks: tuple[StackPlan, ...]
    parity: tuple[Parity, ...]

    @property
    def is_clean(self) -> bool:
        return not any(s.problems or any(f.severity == "error" for f in s.findings) for s in self.stacks)
