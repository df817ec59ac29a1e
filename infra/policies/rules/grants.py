"""IAM-006: what grants.py says, the plan says in the cloud's words. Nobody else notices a grant that grants nothing."""

from collections.abc import Iterator

from infra.catalogue import GIVER
from infra.grants import GIVEN_IF, INSIDE, NODE_GRANTS, WORKLOADS, Access, statement_of
from infra.policies.rules.base import COMPUTED, Breach, Stack, absent, dig, rule
from infra.policies.rules.encryption import policy_statements

_VALUES = frozenset(access.value for access in Access)


@rule("IAM-006", "whoever is granted an access has it in the cloud's own words")
def grants_are_said(stack: Stack) -> Iterator[Breach]:
    if not stack.contract:
        return
    says = _by_statement if stack.cloud == "aws" else _by_name
    for who, granted in _holders(stack).items():
        for what in sorted(granted):
            has = what not in GIVEN_IF or dig(stack.contract, GIVEN_IF[what])
            if has and (stack.cloud, what) not in INSIDE and not says(stack, who, what):
                where = f"`words` of infra/{stack.cloud}/{GIVER[what]}.py"
                fix = f"see {where}; GIVEN_IF and INSIDE of infra/grants.py know the exceptions"
                yield absent(stack, f"{who} is granted {what.value}, and nothing planned grants it: {fix}")


def _holders(stack: Stack) -> dict[str, frozenset[Access]]:
    if not stack.is_k3s:
        return WORKLOADS
    return {"workloads" if stack.cloud == "aws" else "node": NODE_GRANTS}


def _by_statement(stack: Stack, who: str, what: Access) -> bool:
    """A first preview does not know the documents yet."""
    policies = [r for r in stack.of("aws:iam/rolePolicy:RolePolicy") if r.name.endswith(f"-{who}")]
    documents = [r.inputs.get("policy") for r in policies if r.capability == "identity"]
    ids = {str(s.get("Sid")).rstrip("0123456789") for text in documents for s in policy_statements(text)}
    return COMPUTED in documents or statement_of(what) in ids


def _by_name(stack: Stack, who: str, what: Access) -> bool:
    """A grant is named after who and what, and after its place where there are several."""
    begun = f"-{who}-{what.value}"
    rests = [r.name.partition(begun)[2] for r in stack.resources if r.capability == "identity" and begun in r.name]
    return any(not rest or (rest[0] == "-" and what.value + rest not in _VALUES) for rest in rests)
