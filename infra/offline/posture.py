"""How a stack stands, as one word per capability: which rules speak about it, and what they found."""

from infra.offline.report import StackPlan

# What an auditor asks first, and the rules that answer.
QUESTIONS: dict[str, tuple[str, ...]] = {
    "private": ("NET-001", "NET-002", "NET-003", "NET-005", "STO-001", "LLM-001"),
    "encrypted": ("ENC-001", "ENC-002", "ENC-003", "ENC-004"),
    "backed up": ("DB-001", "STO-002"),
    "protected": ("DB-003", "OPS-004"),
    "identity": ("IAM-001", "IAM-002", "IAM-003", "IAM-004", "IAM-005", "K8S-002"),
    "logged": ("NET-004", "DB-004", "K8S-001", "LLM-002", "OPS-003"),
}
# What a profile gives up on purpose; the rules know it, and so must the reader of a plan.
GIVEN_UP: dict[tuple[str, str], tuple[str, ...]] = {
    ("small", "private"): ("no private endpoints", "the node has a public address, 80 and 443 open"),
    ("small", "identity"): ("pods share the node's identity",),
    ("small", "backed up"): ("no second vault",),
    ("dev", "private"): ("no private endpoints",),
    ("dev", "protected"): ("may be destroyed",),
}
# What no rule can ask, because the resource is not in the plan: the default NodeClass is made by EKS.
CLUSTER_GAPS: dict[tuple[str, str], tuple[str, ...]] = {
    ("aws:eks/cluster:Cluster", "encrypted"): ("disks of EKS Auto Mode nodes lie under AWS's own key",),
    ("azure-native:containerregistry:Registry", "encrypted"): ("images lie under Microsoft's key",),
}
# What is given up where a type is not there: (type, question, what must be there for it to matter).
ABSENT_GAPS: dict[tuple[str, str, str], str] = {
    ("gcp:orgpolicy/policy:Policy", "identity", "gcp:projects/iAMCustomRole:IAMCustomRole"): (
        "any model of Vertex AI may be asked"
    ),
}


def posture(stack: StackPlan) -> dict[str, str]:
    """Question -> `yes`, `yes, but ...` or the broken rules."""
    broken = {f.policy for f in stack.findings}
    return {name: _answer(stack, name, sorted(broken & set(rules))) for name, rules in QUESTIONS.items()}


def _answer(stack: StackPlan, question: str, broken: list[str]) -> str:
    if broken:
        return "NO: " + ", ".join(broken)
    gaps = [gap for type_ in {r.type for r in stack.resources} for gap in CLUSTER_GAPS.get((type_, question), ())]
    types = {r.type for r in stack.resources if r.capability == "models"}
    gaps += [gap for (t, q, near), gap in ABSENT_GAPS.items() if q == question and near in types and t not in types]
    given_up = [*GIVEN_UP.get((stack.profile, question), ()), *sorted(gaps)]
    return f"yes, but {'; '.join(given_up)}" if given_up else "yes"
