"""What a rule is and what it sees: planned resources and the contract. No cloud SDK and no policy engine in here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from infra.kinds import Claim, Question, kinds
from infra.offline.report import Finding, Resource, StackPlan

ALL_CLOUDS = ("aws", "azure", "gcp")
ALL_PROFILES = ("dev", "small", "prod")
COMPUTED = "<computed>"


@dataclass(frozen=True)
class Company:
    """What a company decides for all its stacks; empty regions allow every one."""

    required_tags: tuple[str, ...] = ("application", "environment", "owner", "cost_center", "managed_by")
    allowed_regions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stack:
    cloud: str
    profile: str
    resources: tuple[Resource, ...]
    contract: dict[str, Any]
    company: Company = field(default_factory=Company)

    @classmethod
    def of_plan(cls, plan: StackPlan, company: Company) -> "Stack":
        return cls(plan.cloud, plan.profile, plan.resources, plan.contract, company)

    def of(self, *types: str) -> list[Resource]:
        return [r for r in self.resources if r.type in types]

    def waits_for(self, resource: Resource) -> frozenset[str]:
        """URNs of everything that stands before `resource` is made, however indirectly."""
        found: set[str] = set()
        ahead = list(resource.depends_on)
        while ahead:
            urn = ahead.pop()
            if urn not in found:
                found.add(urn)
                ahead += self.by_urn[urn].depends_on if urn in self.by_urn else ()
        return frozenset(found)

    @cached_property
    def by_urn(self) -> dict[str, Resource]:
        return {r.urn: r for r in self.resources}

    @property
    def is_small(self) -> bool:
        return self.profile == "small"

    @property
    def has_own_network(self) -> bool:
        """False when the company brought its network: then its logs and endpoints are the company's business."""
        return bool(self.of("aws:ec2/vpc:Vpc", "azure-native:network:VirtualNetwork", "gcp:compute/network:Network"))

    @property
    def has_llm(self) -> bool:
        return dig(self.contract, "models.kind") != "embedded"


Breach = tuple[str, str]  # (URN or stack, message)
Check = Callable[[Stack], Iterator[Breach]]


@dataclass(frozen=True)
class Rule:
    id: str
    claim: str
    check: Check
    clouds: tuple[str, ...]
    profiles: tuple[str, ...]

    def findings(self, stack: Stack) -> Iterator[Finding]:
        if stack.cloud in self.clouds and stack.profile in self.profiles:
            for resource, message in self.check(stack):
                yield Finding(policy=self.id, severity="error", resource=resource, message=message)


RULES: dict[str, Rule] = {}


def rule(
    id_: str, claim: str, *, clouds: tuple[str, ...] = ALL_CLOUDS, profiles: tuple[str, ...] = ALL_PROFILES
) -> Callable[[Check], Check]:
    """Enter a check into the registry under its id."""

    def enter(check: Check) -> Check:
        RULES[id_] = Rule(id_, claim, check, clouds, profiles)
        return check

    return enter


def dig(value: Any, path: str) -> Any:
    """The value at `a.b.0.c`, or None where the path ends early."""
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list | tuple) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def must(resources: list[Resource], path: str, ok: Callable[[Any], bool], message: str) -> Iterator[Breach]:
    """A breach for each resource whose input at `path` is not as it must be; what only `up` will know is asked then."""
    for r in resources:
        found = dig(r.inputs, path)
        if found != COMPUTED and not ok(found):
            yield r.urn, f"{message} ({path} is {found!r})"


def claimed(stack: Stack, question: Question, message: str) -> Iterator[Breach]:
    """A breach for each resource that is not what its type's record claims (infra/kinds)."""
    for type_, service in kinds(stack.cloud).services.items():
        claim = service.claim(question)
        if stack.profile in claim.profiles:
            for path, allowed in claim.inputs:
                yield from must(asked(stack.of(type_), claim), path, equals(*allowed) if allowed else is_set, message)


def asked(resources: list[Resource], claim: Claim) -> list[Resource]:
    """Those of a type that its claim speaks of."""
    return [r for r in resources if claim.when is None or dig(r.inputs, claim.when.at) in claim.when.allowed]


def is_true(value: Any) -> bool:
    return value is True


def is_false(value: Any) -> bool:
    return value is False


def is_set(value: Any) -> bool:
    return bool(value)


def equals(*wanted: Any) -> Callable[[Any], bool]:
    return lambda value: value in wanted


def at_least(least: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | float) and value >= least


def absent(stack: Stack, what: str) -> Breach:
    return f"{stack.cloud}/{stack.profile}", what
