"""IAM: who may do what, and by which proof."""

import re
from collections.abc import Iterator
from typing import Any

from infra.grants import WORKLOADS
from infra.kinds import kinds
from infra.kinds.roles import roles, verb_of
from infra.offline.report import Resource
from infra.policies.rules.base import (
    COMPUTED,
    Breach,
    Stack,
    absent,
    claimed,
    dig,
    rule,
)
from infra.policies.rules.encryption import policy_statements
from infra.policies.rules.grants import said

# These actions know no resource, so AWS insists on "*" for them.
_WITHOUT_RESOURCE = {"ecr:GetAuthorizationToken", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}
_AWS_DOCUMENTS = ("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy")
_AWS_BROAD = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess")
_AZURE_BROAD = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
}
_GCP_GRANTS = (
    "gcp:projects/iAMMember:IAMMember",
    "gcp:projects/iAMBinding:IAMBinding",
    "gcp:dns/dnsManagedZoneIamMember:DnsManagedZoneIamMember",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
    "gcp:pubsub/topicIAMMember:TopicIAMMember",
    "gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember",
    "gcp:secretmanager/secretIamMember:SecretIamMember",
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
    "gcp:serviceaccount/iAMMember:IAMMember",
)
_GCP_BROAD = ("roles/owner", "roles/editor", "roles/viewer")
_STATIC_KEYS = (
    "aws:iam/accessKey:AccessKey",
    "aws:iam/user:User",
    "gcp:serviceaccount/key:Key",
    "gcp:storage/hmacKey:HmacKey",
)


@rule("IAM-001", "no statement gives every action, or every resource")
def no_wildcards(stack: Stack) -> Iterator[Breach]:
    for r in stack.of(*_AWS_DOCUMENTS):
        for statement in policy_statements(r.inputs.get("policy")):
            yield from ((r.urn, fact) for fact in _wide(statement))
    for r in stack.of("azure-native:authorization:RoleDefinition"):
        if any("*" in (p.get("actions") or []) for p in r.inputs.get("permissions") or []):
            yield r.urn, "The role allows every action; name the actions"
    for r in stack.of("gcp:projects/iAMCustomRole:IAMCustomRole"):
        raised = [p for p in r.inputs.get("permissions") or [] if "*" in p or p.endswith(".setIamPolicy")]
        if raised:
            yield r.urn, f"The role allows {raised}; name the permissions, and never the right to grant more"
    for r in stack.of("gcp:projects/iAMMember:IAMMember"):
        wide = [word for word in said(stack, r) if word not in roles("gcp").whole and word != COMPUTED]
        narrowed = dig(r.inputs, "condition.expression") or ""
        if wide and narrowed != COMPUTED and "resource.name" not in narrowed:
            yield (
                r.urn,
                f"{wide} counts in the whole project: narrow it to a resource, or say why not (roles.yaml, whole)",
            )
    for r in stack.resources:
        yield from ((r.urn, fact) for fact in (*_misses(stack, r), *_everything(stack, r)))


_TYPE = re.compile(r'resource\.type == "([^"]+)"')
_NAME = re.compile(r'resource\.name(?: == |\.startsWith\()"([^"]+)"')
_BELOW = {"Object": "Bucket"}  # what a condition may name of a thing: a part of it, by a name of its own


def _misses(stack: Stack, grant: Resource) -> Iterator[str]:
    """Google: a condition about a type that the grant is not about is never met, nor one about half a name."""
    text = str(dig(grant.inputs, "condition.expression") or "") if stack.cloud == "gcp" else ""
    for name in _NAME.findall(text):
        if "/" not in name and not name.endswith("-id"):  # an id that the plan makes up is a whole name in the cloud
            yield f"The condition names {name!r}; a resource's name is whole: projects/.../{name}"
    named = _TYPE.findall(text)
    ahead = [stack.by_urn[urn] for urn in grant.depends_on if urn in stack.by_urn]
    about = [r for r in ahead if r.type in kinds("gcp").services]
    for kind in named:
        api, _, word = kind.partition("/")
        if not any(_is_about(r, api, _BELOW.get(word, word)) for r in about):
            given = ", ".join(r.type for r in about) or "nothing that it names"
            yield f"The condition speaks of {kind}, the grant is about {given}: nobody would be let in"


def _is_about(resource: Resource, api: str, word: str) -> bool:
    mine = resource.type.rpartition(":")[2]
    return api == f"{kinds('gcp').api_of(resource.type)}.googleapis.com" and (
        mine.endswith(word) or word.startswith(mine)
    )


# Inputs by which a thing's own language says what a user may, and its words for everything.
_OWN_WORDS = ("accessPolicyName", "accessString", "acl", "databaseRoles", "permissions", "privileges")
_EVERYTHING = re.compile(r"\+@all\b(?!.*-@dangerous)|allcommands|superuser|\bowner\b|\badmin", re.IGNORECASE)


def _everything(stack: Stack, resource: Resource) -> Iterator[str]:
    """Of a cache's or a database's own users. Whoever is granted to administrate a thing may have all of it."""
    record = kinds(stack.cloud).services.get(resource.type)
    for path in _OWN_WORDS if not _administrates(stack, resource.name) else ():
        texts = [text for text in _listed(resource.inputs.get(path)) if isinstance(text, str)]
        wide = [text for text in texts if _EVERYTHING.search(text)]
        if wide and not (record and path in record.unasked):
            yield f"{path} gives everything ({wide}): name what is needed, or say in `unasked` of its record why all"


def _administrates(stack: Stack, name: str) -> bool:
    """In `small` the node does all that anybody does."""
    mine = [granted for who, granted in WORKLOADS.items() if name.endswith(f"-{who}")]
    return stack.is_small or any(verb_of(access) == "admin" for granted in mine for access in granted)


def _wide(statement: dict[str, Any]) -> Iterator[str]:
    if statement.get("Effect") != "Allow":
        return
    actions, resources = _listed(statement.get("Action")), _listed(statement.get("Resource"))
    if any(a == "*" or a.endswith(":*") for a in actions):
        yield f"The policy allows every action of {actions}; name the actions"
    if "*" in resources and not set(actions) <= _WITHOUT_RESOURCE:
        yield f"The policy allows {actions} on every resource; name the resources"


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


@rule("IAM-002", "no owner, editor or administrator role")
def no_broad_roles(stack: Stack) -> Iterator[Breach]:
    for r in stack.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "aws:iam/role:Role"):
        attached = [r.inputs.get("policyArn"), *(r.inputs.get("managedPolicyArns") or [])]
        if any(str(arn).endswith(_AWS_BROAD) for arn in attached if arn):
            yield r.urn, f"{attached} is an administrator's policy; grant the actions that are needed"
    for r in stack.of("azure-native:authorization:RoleAssignment"):
        role = str(r.inputs.get("roleDefinitionId", "")).rsplit("/", 1)[-1]
        if role in _AZURE_BROAD:
            yield r.urn, f"{_AZURE_BROAD[role]} is too wide; assign a data role at the resource"
    for r in stack.of(*_GCP_GRANTS):
        role = str(r.inputs.get("role"))
        if role in _GCP_BROAD or role.endswith((".admin", "Admin")):
            yield r.urn, f"{role} is too wide; grant a predefined role at the resource"


@rule("IAM-003", "no static keys", clouds=("aws", "gcp"))
def no_static_keys(stack: Stack) -> Iterator[Breach]:
    for r in stack.of(*_STATIC_KEYS):
        yield r.urn, "A long-lived key or user; use a workload identity"


@rule("IAM-004", "one identity per workload", profiles=("dev", "prod"))
def one_identity_each(stack: Stack) -> Iterator[Breach]:
    """`small` is exempt: pods on the one node share its identity, which the docs say."""
    principals = dig(stack.contract, "identity.principals") or {}
    known = [str(who) for who in principals.values() if who != COMPUTED]
    if stack.contract and (not principals or len(set(known)) < len(known)):
        yield absent(stack, f"Containers share an identity: {principals}")


@rule("IAM-005", "no password, no shared key and no local account")
def no_passwords(stack: Stack) -> Iterator[Breach]:
    yield from claimed(stack, "login", "Somebody could sign in without an identity")
    for r in stack.of("gcp:sql/databaseInstance:DatabaseInstance"):
        flags = {f["name"]: f["value"] for f in dig(r.inputs, "settings.databaseFlags") or []}
        if flags.get("cloudsql.iam_authentication") != "on":
            yield r.urn, "IAM sign-in is off (cloudsql.iam_authentication)"
