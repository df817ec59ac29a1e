"""Every rule as a plain function over planned resources; no policy engine is imported here."""

from collections.abc import Iterator

from infra.offline.report import Finding, StackPlan
from infra.policies.rules import (  # noqa: F401, each enters its rules into the registry
    agents,
    bus,
    database,
    dependencies,
    encryption,
    equivalence,
    grants,
    iam,
    kubernetes,
    llm,
    needs,
    network,
    operations,
    refusals,
    registry,
    secrets,
    storage,
    ways,
)
from infra.policies.rules.base import RULES, Company, Stack


def check_stack(plan: StackPlan, company: Company | None = None) -> Iterator[Finding]:
    """Every breach of every rule, in the order of the rules' ids."""
    stack = Stack.of_plan(plan, company or Company())
    for id_ in sorted(RULES):
        yield from RULES[id_].findings(stack)
