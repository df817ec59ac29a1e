"""A plan as lines of text that a reviewer reads as a diff: what exists, where it belongs, whether it is protected."""

from infra.offline.report import StackPlan


def listing(plan: StackPlan) -> str:
    rows = [f"{r.capability:14} {r.type:72} {r.name}{'  [protected]' if r.protect else ''}" for r in plan.resources]
    return "\n".join([f"# {plan.cloud} {plan.profile}: {len(rows)} resources", *rows]) + "\n"
