"""DEP: nothing is made before what it needs. A preview cannot see this; a first `up` fails halfway through."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from infra.kinds import Service, Way, kinds
from infra.kinds.roles import roles
from infra.offline.report import Resource
from infra.policies.rules.agents import AGENT, OURS, is_grant
from infra.policies.rules.base import Breach, Stack, dig, rule

WAIT = "pulumi-python:dynamic/infra:Wait"
_SERVICE = "gcp:projects/service:Service"


@rule("DEP-001", "everything on Google Cloud waits until its API is on", clouds=("gcp",))
def api_is_on(stack: Stack) -> Iterator[Breach]:
    enabled = {str(r.inputs.get("service")): r.urn for r in stack.of(_SERVICE)}
    for r in stack.resources:
        if not r.type.startswith("gcp:") or r.type == _SERVICE:
            continue
        api = f"{_api(r)}.googleapis.com"
        if enabled.get(api) not in stack.waits_for(r):
            yield r.urn, f"Does not wait for {api}: is it in answers_for of infra/kinds/gcp.yaml, and this after it?"


def _api(resource: Resource) -> str:
    if resource.type == AGENT:
        return str(resource.inputs.get("service")).removesuffix(".googleapis.com")
    return kinds("gcp").api_of(resource.type)


_CLUSTERS = (
    "aws:eks/cluster:Cluster",
    "azure-native:containerservice:ManagedCluster",
    "gcp:container/cluster:Cluster",
)
_IN_A_CLUSTER = (
    "aws:eks/accessEntry:AccessEntry",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation",
    "azure-native:containerservice:AgentPool",
    "gcp:container/nodePool:NodePool",
)


@rule("DEP-002", "what belongs to a cluster waits for it, workload identities too")
def cluster_is_there(stack: Stack) -> Iterator[Breach]:
    clusters = {r.urn for r in stack.of(*_CLUSTERS)}
    for r in stack.resources:
        if clusters and _belongs_to_a_cluster(r) and not clusters & stack.waits_for(r):
            yield r.urn, "Does not wait for the cluster: take name or issuer from an output of it"


def _belongs_to_a_cluster(resource: Resource) -> bool:
    if resource.type.startswith("kubernetes:"):
        return True
    if resource.type == "azure-native:managedidentity:FederatedIdentityCredential":
        return "serviceaccount:" in str(resource.inputs.get("subject"))
    if resource.type == "gcp:serviceaccount/iAMMember:IAMMember":
        return ".svc.id.goog[" in str(resource.inputs.get("member"))
    return resource.type in _IN_A_CLUSTER


@rule("DEP-003", "who acts under an identity waits for its grants, and until the cloud knows of them")
def grants_count(stack: Stack) -> Iterator[Breach]:
    yield from _GRANTS[stack.cloud](stack)


def _acts(stack: Stack, resource: Resource) -> bool:
    """Under an identity, by its record (`acts` of roles.yaml); IAM-009 asks for the record."""
    record = roles(stack.cloud).acts.get(resource.type)
    return record is not None and not record.names


def _aws_grants(stack: Stack) -> Iterator[Breach]:
    """The provider itself repeats a call until IAM knows of a role; what it cannot know is which policies belong."""
    known = {r.urn: r for r in stack.of(*roles("aws").identities)}
    grants = [r for r in stack.resources if is_grant(stack, r)]
    for r in (r for r in stack.resources if _acts(stack, r)):
        ahead = stack.waits_for(r)
        mine = {urn for urn in known if urn in ahead and known[urn].capability == r.capability}
        own = [g for g in grants if g.capability == r.capability and mine & set(g.depends_on)]
        missing = [g.name for g in own if g.urn not in ahead]
        yield from ((r.urn, f"Does not wait for {name}, a grant of its role") for name in missing)


def _azure_grants(stack: Stack) -> Iterator[Breach]:
    known = {r.urn: r for r in stack.of(*roles("azure").identities)}
    for r in (r for r in stack.resources if _acts(stack, r)):
        for identity in (known[urn] for urn in r.depends_on if urn in known):
            grants = [g for g in stack.resources if is_grant(stack, g) and _is_for(g, identity)]
            yield from _not_waited_for(stack, r, grants)


def _is_for(grant: Resource, identity: Resource) -> bool:
    return identity.urn in grant.depends_on and grant.capability == identity.capability


_KEY = "gcp:kms/cryptoKey:CryptoKey"
_KEY_GRANT = "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"
_USE_KEY = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


def _gcp_grants(stack: Stack) -> Iterator[Breach]:
    """Google's service agents encrypt for us: whoever names our key waits until they may."""
    keys = {r.urn for r in stack.of(_KEY)}
    for r in stack.resources:
        if keys & set(r.depends_on) and r.type != _KEY_GRANT and not r.type.startswith(OURS):
            yield from _not_waited_for(stack, r, stack.of(_KEY_GRANT))
            if not _may_encrypt(stack, r):
                yield (
                    r.urn,
                    f"Google's agent of {_api(r)} encrypts it, and may not use our key (infra/gcp/foundation.py)",
                )


def _may_encrypt(stack: Stack, resource: Resource) -> bool:
    record = kinds("gcp").services.get(resource.type)
    if record is None or not record.key.at:
        return True
    grants = [g for g in stack.of(_KEY_GRANT) if g.name.endswith(f"-key-{_api(resource)}")]
    return any(g.inputs.get("role") == _USE_KEY for g in grants)


def _not_waited_for(stack: Stack, resource: Resource, grants: Iterable[Resource]) -> Iterator[Breach]:
    ahead = stack.waits_for(resource)
    waits = [stack.waits_for(w) for w in stack.of(WAIT) if w.urn in ahead]
    early = sorted(g.name for g in grants if not any(g.urn in before for before in waits))
    if early:
        yield resource.urn, f"Does not wait until {', '.join(early)} count; put infra.wait.after between"


_GRANTS: dict[str, Callable[[Stack], Iterator[Breach]]] = {
    "aws": _aws_grants,
    "azure": _azure_grants,
    "gcp": _gcp_grants,
}

_AWS_OUT = ("aws:ec2/route:Route", "aws:ec2/routeTableAssociation:RouteTableAssociation")
_AWS_GATEWAY = ("aws:ec2/internetGateway:InternetGateway",)
_AZURE_LINK = ("azure-native:privatedns:VirtualNetworkLink",)
# type -> what of the network must stand before it: machines load images, addresses need a gateway, databases a way in.
_WAY: dict[str, tuple[str, ...]] = {
    "aws:autoscaling/group:Group": _AWS_OUT,
    "aws:ec2/natGateway:NatGateway": _AWS_GATEWAY,
    "aws:eks/cluster:Cluster": _AWS_OUT,
    "aws:lb/loadBalancer:LoadBalancer": _AWS_GATEWAY,
    "azure-native:containerservice:ManagedCluster": ("azure-native:network:NatGateway",),
    "azure-native:dbforpostgresql:Server": _AZURE_LINK,
    "gcp:compute/instanceGroupManager:InstanceGroupManager": ("gcp:compute/routerNat:RouterNat",),
    "gcp:container/cluster:Cluster": ("gcp:compute/routerNat:RouterNat",),
}


@rule("DEP-004", "machines and databases wait for their network's way out and in")
def network_is_ready(stack: Stack) -> Iterator[Breach]:
    for r in stack.of(*_WAY):
        ahead = stack.waits_for(r)
        for needed in stack.of(*_WAY[r.type]):
            if needed.urn not in ahead and _concerns(needed, r):
                yield r.urn, f"Does not wait for {needed.name} ({needed.type.split(':')[-1]}); add it to Network.ready"
    yield from unreached(stack, kinds(stack.cloud).services)


_ONE_BY_ONE = ("azure-native:dbforpostgresql:", "azure-native:network:Subnet")  # of a server, of a network


@rule(
    "DEP-005", "a server or network that takes one change at a time is changed one after the other", clouds=("azure",)
)
def one_change_at_a_time(stack: Stack) -> Iterator[Breach]:
    """learn.microsoft.com/azure: ServerIsBusy, AnotherOperationInProgress."""
    for begun in _ONE_BY_ONE:
        changes = [r for r in stack.resources if r.type.startswith(begun) and not r.type.endswith(":Server")]
        for i, r in enumerate(changes):
            if any(r.urn not in stack.waits_for(o) and o.urn not in stack.waits_for(r) for o in changes[:i]):
                yield r.urn, "Azure may be busy with another change of it; let one wait for the other (depends_on)"


def unreached(stack: Stack, records: Mapping[str, Service]) -> Iterator[Breach]:
    """What lives in Google's own network, by its record, and has no way from ours, or is made before it."""
    ways = {type_: one.way for type_, one in records.items() if one.way and one.way.through}
    for type_, way in ways.items() if stack.has_own_network else ():
        for r in stack.of(type_):
            ahead = stack.waits_for(r)
            if not dig(r.inputs, way.at):
                yield r.urn, f"Nobody could reach it: {way.at} names no network of ours"
            if not any(n.urn in ahead and _leads(n, way) for n in stack.of(way.through)):
                said = "".join(f", {key} {value or 'set'}" for key, value in way.where.items())
                yield r.urn, f"Nobody could reach it: it waits for no {way.through.split(':')[-1]}{said}"


def _leads(through: Resource, way: Way) -> bool:
    told = {path: dig(through.inputs, path) for path in way.where}
    return all(told[path] == wanted if wanted else told[path] for path, wanted in way.where.items())


def _concerns(needed: Resource, resource: Resource) -> bool:
    """A database waits for the link of its own zone; other links serve other services."""
    return needed.type not in _AZURE_LINK or "postgres" in str(dig(needed.inputs, "privateZoneName"))
