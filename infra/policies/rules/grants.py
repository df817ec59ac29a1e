"""
IAM-006 to IAM-008: what grants.py says, the plan says in the cloud's words, large enough and of the right users.

Nobody else notices a grant that grants nothing, or too little: a container would be refused, weeks later.
"""

import re
from collections.abc import Iterator
from typing import Any

from infra.catalogue import GIVER
from infra.grants import GIVEN_IF, GRANTS, INSIDE, NODE_GRANTS, OPERATORS, WORKLOADS, Access, statement_of
from infra.kinds.roles import Users, roles, shortage
from infra.offline.report import Resource
from infra.policies.rules.base import COMPUTED, Breach, Stack, absent, dig, rule
from infra.policies.rules.encryption import policy_statements

_VALUES = frozenset(access.value for access in Access)
_DOCUMENT, _CUSTOM = "aws:iam/rolePolicy:RolePolicy", "gcp:projects/iAMCustomRole:IAMCustomRole"
_LOGIN = re.compile(r":(connect|.*login)$", re.IGNORECASE)


@rule("IAM-006", "whoever is granted an access has it in the cloud's own words")
def grants_are_said(stack: Stack) -> Iterator[Breach]:
    for who, what in _granted(stack):
        if not _words(stack, who, what):
            fix = f"see {_where(stack, what)}; GIVEN_IF and INSIDE of infra/grants.py know the exceptions"
            yield absent(stack, f"{who} is granted {what.value}, and nothing planned grants it: {fix}")


@rule("IAM-007", "a grant is as large as its access")
def grants_are_enough(stack: Stack) -> Iterator[Breach]:
    for who, what in _granted(stack):
        words = _words(stack, who, what) - {COMPUTED}
        if words and (wrong := shortage(stack.cloud, what.value, frozenset(words))):
            yield absent(stack, f"{what.value} of {who}, {_where(stack, what)}: {wrong}")


@rule("IAM-008", "a log-in's grant names the thing's users, and they exist", clouds=("aws",))
def logins_name_users(stack: Stack) -> Iterator[Breach]:
    known = roles(stack.cloud).users
    for r in stack.of(_DOCUMENT):
        for statement in policy_statements(r.inputs.get("policy")):
            for action in filter(_LOGIN.search, _listed(statement.get("Action"))):
                if action in known:
                    yield from ((r.urn, wrong) for wrong in _unnamed(stack, r, statement, known[action]))
                else:
                    yield (
                        r.urn,
                        f"Nobody knows whether {action} names users; say it in `users` of infra/kinds/roles.yaml",
                    )


def _unnamed(stack: Stack, policy: Resource, statement: dict[str, Any], known: Users) -> Iterator[str]:
    """A user's ARN ends in its name, whole or behind a prefix: `dbuser:db-1/worker`, `user:pointsman-prod-worker`."""
    made_by = known.made_by
    named, begun = _listed(statement.get("Resource")), f"{policy.name.rpartition('-')[0]}-"
    about = {access for access in Access if _is_about(statement, access)}
    ours = [w for w in GRANTS if policy.name.endswith((f"-{w}", "-workloads")) and (not about or about & GRANTS[w])]
    users = [str(r.inputs.get("userId") or r.inputs.get("userName") or r.name) for r in stack.of(made_by)]
    for who in ours:
        if not any(_is_of(who, text) for text in named):
            yield f"{statement.get('Sid')} lets {who} in and names no user of {who}: add its ARN to `words`"
        if known.is_type and not any(_is_of(who, user) for user in users):
            yield f"{statement.get('Sid')} lets {who} in, and no {made_by} of {begun}{who} is made"
    for user in stack.of(made_by):
        if len(called := {str(user.inputs.get(name)) for name in known.names}) > 1:
            yield f"{user.name} is called {' and '.join(sorted(called))}: {', '.join(known.names)} must say the same"
        if not any(
            user.urn in r.depends_on for r in stack.resources if r.type.startswith("aws:") and r.type != _DOCUMENT
        ):
            yield f"{user.name} may log in to nothing: name it where its group is made"
    if known.is_type and not any(not any(_is_of(who, text) for who in ours) for text in named):
        yield f"{statement.get('Sid')} names users alone: add the ARN of what they log in to"


def _is_of(who: str, text: str) -> bool:
    """What the cloud has not made yet is called after the resource: `pointsman-prod-worker-arn`."""
    return bool(re.search(rf"(^|[:/-]){re.escape(who)}(-arn|-id)?$", text))


def _granted(stack: Stack) -> Iterator[tuple[str, Access]]:
    """(who, what), less what a stack has not got or a cloud grants inside the thing."""
    for who, granted in _holders(stack).items() if stack.contract else ():
        for what in sorted(granted):
            has = what not in GIVEN_IF or dig(stack.contract, GIVEN_IF[what])
            if has and (stack.cloud, what) not in INSIDE:
                yield who, what


def _holders(stack: Stack) -> dict[str, frozenset[Access]]:
    """Operators are looked for where there are any."""
    people = "operators" if stack.cloud == "aws" else "operator-0"
    mine = {people: OPERATORS} if any(f"-{people}" in r.name for r in stack.resources) else {}
    if not stack.is_small:
        return {**WORKLOADS, **mine}
    return {"workloads" if stack.cloud == "aws" else "node": NODE_GRANTS, **mine}


def _where(stack: Stack, what: Access) -> str:
    return f"`words` of infra/{stack.cloud}/{GIVER[what]}.py"


def _words(stack: Stack, who: str, what: Access) -> frozenset[str]:
    """What the plan grants: actions, roles or permissions; COMPUTED is what a first preview cannot know."""
    return _by_statement(stack, who, what) if stack.cloud == "aws" else _by_name(stack, who, what)


def _by_statement(stack: Stack, who: str, what: Access) -> frozenset[str]:
    """A statement that names no resource grants nothing."""
    policies = [r for r in stack.of(_DOCUMENT) if r.name.endswith(f"-{who}") and r.capability == "identity"]
    documents = [r.inputs.get("policy") for r in policies]
    mine = [
        s for text in documents for s in policy_statements(text) if _is_about(s, what) and _listed(s.get("Resource"))
    ]
    return frozenset(a for s in mine for a in _listed(s.get("Action"))) | ({COMPUTED} & set(documents))


def _is_about(statement: dict[str, Any], what: Access) -> bool:
    return str(statement.get("Sid")).rstrip("0123456789") == statement_of(what)


def _by_name(stack: Stack, who: str, what: Access) -> frozenset[str]:
    """A grant is named after who and what, and after its place where there are several."""
    begun = f"-{who}-{what.value}"
    near = [(r, r.name.partition(begun)[2]) for r in stack.resources if r.capability == "identity" and begun in r.name]
    mine = [r for r, rest in near if not rest or (rest[0] == "-" and what.value + rest not in _VALUES)]
    return frozenset(word for r in mine for word in said(stack, r))


def said(stack: Stack, grant: Resource) -> list[str]:
    """`roles/pubsub.publisher` -> `pubsub:publisher`; a role of ours is its permissions; or the type itself."""
    if stack.cloud == "aws":
        return _actions(grant)
    if made := [r for r in stack.of(_CUSTOM) if r.urn in grant.depends_on]:
        return [p.replace(".", ":", 1) for role in made for p in role.inputs.get("permissions") or []]
    role = str(grant.inputs.get("role") or grant.inputs.get("roleDefinitionId") or grant.type)
    if role.startswith("roles/"):
        return [role.removeprefix("roles/").replace(".", ":", 1)]
    return [role if role == grant.type else role.rpartition("/")[2]]


def _actions(grant: Resource) -> list[str]:
    """The name of a managed policy, or the actions of a document; a statement about no resource says nothing."""
    if "policyArn" in grant.inputs:
        return [str(grant.inputs["policyArn"]).rpartition("/")[2]]
    if grant.inputs.get("policy") == COMPUTED:
        return [COMPUTED]
    statements = policy_statements(grant.inputs.get("policy"))
    return [action for s in statements if _listed(s.get("Resource")) for action in _listed(s.get("Action"))]


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])
