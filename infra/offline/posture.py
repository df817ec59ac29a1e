"""How a stack stands, as one word per capability: which rules speak about it, and what they found."""

from infra.kinds import Question, kinds
from infra.offline.report import StackPlan
from infra.policies.rules.base import dig

# What an auditor asks first, and the rules that answer.
QUESTIONS: dict[str, tuple[str, ...]] = {
    "private": ("NET-001", "NET-002", "NET-003", "NET-005", "NET-006", "EQ-003", "STO-001", "LLM-001"),
    "encrypted": ("ENC-001", "ENC-002", "ENC-003", "ENC-004", "EQ-003"),
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


# type -> (path to the machine's name, path to and value of what makes a standby)
_DATABASES = {
    "aws:rds/instance:Instance": ("instanceClass", "multiAz", True),
    "azure-native:dbforpostgresql:Server": ("sku.name", "highAvailability.mode", "ZoneRedundant"),
    "gcp:sql/databaseInstance:DatabaseInstance": ("settings.tier", "settings.availabilityType", "REGIONAL"),
}
_SIZES = {
    "db.t4g.micro": "2 vCPU, 1 GiB",
    "db.t4g.medium": "2 burstable vCPU, 4 GiB",
    "db.m7g.large": "2 vCPU, 8 GiB",
    "db.m7g.xlarge": "4 vCPU, 16 GiB",
    "Standard_B1ms": "1 vCPU, 2 GiB",
    "Standard_B2s": "2 burstable vCPU, 4 GiB",
    "Standard_D2ds_v5": "2 vCPU, 8 GiB",
    "Standard_D4ds_v5": "4 vCPU, 16 GiB",
    "db-f1-micro": "shared vCPU, 0.6 GiB",
    "db-custom-2-4096": "2 vCPU, 4 GiB",
    "db-custom-2-8192": "2 vCPU, 8 GiB",
    "db-custom-4-16384": "4 vCPU, 16 GiB",
}
_NATS = ("aws:ec2/natGateway:NatGateway", "azure-native:network:NatGateway", "gcp:compute/routerNat:RouterNat")


def posture(stack: StackPlan) -> dict[str, str]:
    """Question -> `yes`, `yes, but ...` or the broken rules; then what is compared by size."""
    broken = {f.policy for f in stack.findings}
    answers = {name: _answer(stack, name, sorted(broken & set(rules))) for name, rules in QUESTIONS.items()}
    return {**answers, "database": _database(stack), "way out": _way_out(stack)}


def _database(stack: StackPlan) -> str:
    for r in stack.resources:
        if r.type in _DATABASES:
            name, standby, value = _DATABASES[r.type]
            size = str(dig(r.inputs, name))
            return _SIZES.get(size, size) + (", a standby in another zone" if dig(r.inputs, standby) == value else "")
    return "between two capacities"


def _way_out(stack: StackPlan) -> str:
    """Google spreads one gateway over all zones, Azure keeps it in one, AWS has one in each."""
    count = len([r for r in stack.resources if r.type in _NATS])
    zones = {
        "aws": f"NAT in {count} zone" + ("s" if count > 1 else ""),
        "azure": "NAT in 1 zone",
        "gcp": "NAT in every zone",
    }
    return zones[stack.cloud] if count else "an address of the machine's own"


_ASKED: dict[str, Question] = {"private": "private", "encrypted": "key"}


def _unclaimed(stack: StackPlan, question: str) -> list[str]:
    """What a record says of a resource that cannot claim it (infra/kinds)."""
    if question not in _ASKED:
        return []
    services = kinds(stack.cloud).services
    found = [(r, services[r.type].claim(_ASKED[question]).when) for r in stack.resources if r.type in services]
    return [
        when.otherwise for r, when in found if when and when.otherwise and dig(r.inputs, when.at) not in when.allowed
    ]


def _answer(stack: StackPlan, question: str, broken: list[str]) -> str:
    if broken:
        return "NO: " + ", ".join(broken)
    gaps = _unclaimed(stack, question)
    gaps += [gap for type_ in {r.type for r in stack.resources} for gap in CLUSTER_GAPS.get((type_, question), ())]
    types = {r.type for r in stack.resources if r.capability == "models"}
    gaps += [gap for (t, q, near), gap in ABSENT_GAPS.items() if q == question and near in types and t not in types]
    given_up = [*GIVEN_UP.get((stack.profile, question), ()), *sorted(set(gaps))]
    return f"yes, but {'; '.join(given_up)}" if given_up else "yes"
