"""
IAM-009: who acts for us (a cluster, a backup, Google's own agent) is granted all that it needs, where it needs it.

A role too small for a machine is noticed by nobody before `up`, and by dead letters a month later. What each type needs
is data (`acts` of infra/kinds/roles.yaml); that a type acts at all is read off the plan.
"""

from collections.abc import Iterator

from infra.kinds import kinds
from infra.kinds.roles import Acts, granting_types, roles
from infra.offline.report import Resource
from infra.policies.rules.base import COMPUTED, Breach, Stack, dig, rule
from infra.policies.rules.grants import said

_GRANTS = {
    "aws": ("aws:iam/rolePolicy:RolePolicy", "aws:iam/rolePolicyAttachment:RolePolicyAttachment"),
    "azure": ("azure-native:authorization:RoleAssignment",),
    "gcp": (),
}
OURS = "pulumi-python:dynamic/infra:"  # waits and the guard act under no identity
AGENT = "gcp:projects/serviceIdentity:ServiceIdentity"
_ELSEWHERE = ("identity", "ci")  # IAM-006 and IAM-007 weigh workloads and operators; the next push tells of CI


@rule("IAM-009", "who acts for us is granted all it needs, and nothing that nobody needs")
def actors_are_granted(stack: Stack) -> Iterator[Breach]:
    grants = [r for r in stack.resources if is_grant(stack, r)]
    wanted: set[tuple[str, str]] = set()
    for r in stack.resources:
        if is_actor(stack, r):
            record = roles(stack.cloud).acts.get(r.type)
            if record is None:
                yield r.urn, f"Acts under an identity: say in `acts` of infra/kinds/roles.yaml what {r.type} needs"
            elif not record.when or dig(r.inputs, record.when):
                mine = [g for g in grants if set(g.depends_on) & (identities_of(stack, r) | {r.urn})]
                wanted |= {(g.urn, word) for g in mine for word in said(stack, g) if word in record.needs}
                yield from ((r.urn, wrong) for wrong in _missing(stack, r, record, mine))
                yield from _not_carried(stack, r, record)
    yield from _needless(stack, grants, wanted)


def is_grant(stack: Stack, resource: Resource) -> bool:
    """Google has a type of grants for each type of things."""
    is_member = stack.cloud == "gcp" and resource.type.lower().endswith("iammember")
    return (is_member or resource.type in _GRANTS[stack.cloud]) and not resource.type.startswith("gcp:kms/")


def is_actor(stack: Stack, resource: Resource) -> bool:
    """It names an identity, or its record says that it acts by an agent."""
    known = roles(stack.cloud)
    passive = is_grant(stack, resource) or resource.type.startswith((OURS, "gcp:kms/"))
    if passive or resource.type in granting_types(stack.cloud):
        return False
    named = {stack.by_urn[urn].type for urn in resource.depends_on if urn in stack.by_urn}
    return resource.type in known.acts or bool(named & set(known.identities))


def identities_of(stack: Stack, resource: Resource) -> set[str]:
    """Those it names, those of its own capability that stand before it, and its service's agent."""
    ahead, api = stack.waits_for(resource), _service_of(stack, resource)
    return {
        r.urn
        for r in stack.of(*roles(stack.cloud).identities)
        if r.urn in resource.depends_on
        or (r.urn in ahead and r.capability == resource.capability)
        or (r.type == AGENT and r.inputs.get("service") == api)
    }


def _service_of(stack: Stack, resource: Resource) -> str:
    return f"{kinds(stack.cloud).api_of(resource.type)}.googleapis.com"


def _missing(stack: Stack, actor: Resource, record: Acts, mine: list[Resource]) -> Iterator[str]:
    if any(COMPUTED in said(stack, g) for g in mine):
        return
    for word, on in record.needs.items():
        there = {r.urn for r in stack.of(on)} if on not in ("itself", "anywhere") else {actor.urn}
        given = [g for g in mine if word in said(stack, g) and (on == "anywhere" or _is_at(stack, g, there, on))]
        if there and not given:
            place = "" if on == "anywhere" else f" on {on}"
            yield f"May not do its work: it needs {word}{place}, and no grant of its identity says so"


def _is_at(stack: Stack, grant: Resource, there: set[str], on: str) -> bool:
    """On one of `there`, or on what the company had already and names by its id, with no resource behind it."""
    known = [stack.by_urn[urn] for urn in grant.depends_on if urn in stack.by_urn]
    ours = [r for r in known if r.type not in roles(stack.cloud).identities and not r.type.startswith(OURS)]
    return bool(there & set(grant.depends_on)) or (on != "itself" and not ours)


_CARRIED = "azure-native:managedidentity:UserAssignedIdentity"


def _not_carried(stack: Stack, actor: Resource, record: Acts) -> Iterator[Breach]:
    """Azure: whoever encrypts by an identity that it does not carry is refused at creation."""
    if dig(actor.inputs, "identity.userAssignedIdentities") and "User" not in str(dig(actor.inputs, "identity.type")):
        yield actor.urn, "Carries an identity of ours and does not say so: `identity.type` is UserAssigned"
    named = {r.urn for r in stack.of(_CARRIED)} & set(actor.depends_on)
    if named and record.needs and not dig(actor.inputs, "identity.userAssignedIdentities"):
        yield actor.urn, "Names an identity and carries none: say `identity` as well"


def _needless(stack: Stack, grants: list[Resource], wanted: set[tuple[str, str]]) -> Iterator[Breach]:
    for g in (g for g in grants if g.capability not in _ELSEWHERE):
        for word in said(stack, g):
            if word != COMPUTED and (g.urn, word) not in wanted:
                yield g.urn, f"Nobody planned needs {word}: say in `acts` of infra/kinds/roles.yaml who, or drop it"
