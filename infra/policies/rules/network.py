"""NET: what can reach what."""

from collections.abc import Iterator
from typing import Any

from infra.kinds import kinds
from infra.offline.report import Resource
from infra.policies.rules.base import (
    COMPUTED,
    Breach,
    Stack,
    absent,
    asked,
    claimed,
    dig,
    equals,
    is_false,
    is_set,
    is_true,
    must,
    rule,
)

EVERYWHERE = {"0.0.0.0/0", "::/0", "*", "Internet", "Any"}
_WEB = {"80", "443"}
# Azure's own services reach these as trusted ones, ours never do: the vault of keys, the audit log's account.
AZURE_ITS_OWN = ("-keys", "aud")
_AWS_ENDPOINTS = ("bedrock-runtime", "ecr.api", "ecr.dkr", "kms", "logs", "s3", "secretsmanager", "sns", "sts")


@rule("NET-001", "the database has no public address")
def database_private(stack: Stack) -> Iterator[Breach]:
    message = "The database must not be reachable from the internet"
    instances = stack.of("aws:rds/clusterInstance:ClusterInstance", "aws:rds/instance:Instance")
    yield from must(instances, "publiclyAccessible", is_false, message)
    servers = stack.of("azure-native:dbforpostgresql:Server")
    yield from must(servers, "network.publicNetworkAccess", equals("Disabled"), message)
    sql = stack.of("gcp:sql/databaseInstance:DatabaseInstance")
    yield from must(sql, "settings.ipConfiguration.ipv4Enabled", is_false, message)


@rule("NET-002", "the cluster's API server is private or open to named networks only")
def cluster_api_private(stack: Stack) -> Iterator[Breach]:
    for r in stack.of("aws:eks/cluster:Cluster"):
        if dig(r.inputs, "vpcConfig.endpointPublicAccess") is not False:
            yield from _only_named(r.urn, dig(r.inputs, "vpcConfig.publicAccessCidrs"))
    for r in stack.of("azure-native:containerservice:ManagedCluster"):
        if dig(r.inputs, "apiServerAccessProfile.enablePrivateCluster") is not True:
            yield from _only_named(r.urn, dig(r.inputs, "apiServerAccessProfile.authorizedIPRanges"))
    for r in stack.of("gcp:container/cluster:Cluster"):
        if dig(r.inputs, "privateClusterConfig.enablePrivateEndpoint") is not True:
            blocks = dig(r.inputs, "masterAuthorizedNetworksConfig.cidrBlocks") or []
            yield from _only_named(r.urn, [b.get("cidrBlock") for b in blocks])


def _only_named(urn: str, networks: list[str] | None) -> Iterator[Breach]:
    if not networks or EVERYWHERE & set(networks):
        yield urn, f"The API server is public to {networks or 'everyone'}; name the operators' networks"


@rule("NET-003", "nothing but the edge takes traffic from anywhere, and only HTTP and HTTPS")
def no_open_ingress(stack: Stack) -> Iterator[Breach]:
    for urn, is_edge, sources, ports in _ingress(stack):
        if EVERYWHERE & set(sources) and not (is_edge and ports <= _WEB):
            yield urn, f"Ingress from anywhere to ports {sorted(ports)}; only the edge may, on 80 and 443"


def _ingress(stack: Stack) -> Iterator[tuple[str, bool, list[str], set[str]]]:
    """(resource, stands at the edge, sources, ports) of every way in."""
    for r in stack.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
        sources = [s for s in (r.inputs.get("cidrIpv4"), r.inputs.get("cidrIpv6")) if s]
        yield r.urn, "-edge-" in r.name, sources, _span(r.inputs.get("fromPort"), r.inputs.get("toPort"))
    for r in stack.of("aws:ec2/securityGroup:SecurityGroup"):
        for inline in r.inputs.get("ingress") or []:
            sources = inline.get("cidrBlocks") or []
            yield r.urn, False, sources, _span(inline.get("fromPort"), inline.get("toPort"))
    for r in stack.of("azure-native:network:NetworkSecurityGroup"):
        for inline in r.inputs.get("securityRules") or []:
            if inline.get("direction") == "Inbound" and inline.get("access") == "Allow":
                is_edge = stack.is_small  # elsewhere Front Door is the edge, and nodes take it from there
                yield r.urn, is_edge, _azure_sources(inline), _azure_ports(inline)
    for r in stack.of("gcp:compute/firewall:Firewall"):
        ports = {p for allow in r.inputs.get("allows") or [] for p in allow.get("ports") or ["all"]}
        yield r.urn, r.inputs.get("targetTags") == ["edge"], r.inputs.get("sourceRanges") or [], ports


def _span(low: Any, high: Any) -> set[str]:
    if low is None or low != high:
        return {f"{low}-{high}"}
    return {str(low)}


def _azure_sources(inline: dict[str, Any]) -> list[str]:
    return [*(inline.get("sourceAddressPrefixes") or []), inline.get("sourceAddressPrefix") or ""]


def _azure_ports(inline: dict[str, Any]) -> set[str]:
    single = inline.get("destinationPortRange")
    return {*(inline.get("destinationPortRanges") or []), *([single] if single else [])}


@rule("NET-006", "a service lets in nobody whom its type's record does not name")
def private_by_record(stack: Stack) -> Iterator[Breach]:
    yield from claimed(stack, "private", "The service can be reached from outside")


@rule("NET-004", "network flows are logged")
def flow_logs(stack: Stack) -> Iterator[Breach]:
    if not stack.has_own_network:
        return
    logs = stack.of("aws:ec2/flowLog:FlowLog", "azure-native:network:FlowLog")
    if stack.cloud in ("aws", "azure") and not logs:
        yield absent(stack, "No flow log on the network; set network.flow_logs")
    yield from must(logs, "enabled", lambda v: v is not False, "The flow log is switched off")
    subnets = stack.of("gcp:compute/subnetwork:Subnetwork")
    yield from must(subnets, "logConfig", is_set, "The subnet logs no flows; set network.flow_logs")


@rule("NET-005", "platform services are reached by private addresses", profiles=("prod",))
def private_services(stack: Stack) -> Iterator[Breach]:
    if not stack.has_own_network:
        return
    if stack.cloud == "aws":
        there = {str(r.inputs.get("serviceName", "")) for r in stack.of("aws:ec2/vpcEndpoint:VpcEndpoint")}
        missing = [name for name in _AWS_ENDPOINTS if not any(s.endswith("." + name) for s in there)]
    elif stack.cloud == "azure":
        missing = [r.name for r in _unlinked(stack)]
    else:
        rules = stack.of("gcp:compute/globalForwardingRule:GlobalForwardingRule")
        missing = [] if any(r.inputs.get("target") == "all-apis" for r in rules) else ["googleapis"]
        subnets = stack.of("gcp:compute/subnetwork:Subnetwork")
        yield from must(subnets, "privateIpGoogleAccess", is_true, "The subnet reaches Google over public addresses")
    if missing:
        yield absent(stack, f"No private endpoint for {', '.join(missing)}; set network.private_endpoints")


@rule("NET-007", "what is shut to strangers lets our own in", clouds=("azure",), profiles=("dev", "small"))
def shut_lets_us_in(stack: Stack) -> Iterator[Breach]:
    """Below prod there are no private endpoints: the subnets of the nodes are let in by name, or nobody is."""
    services = kinds(stack.cloud).services
    for r in _unlinked(stack):
        claim = services[r.type].private
        rules = [*claim.at.split(".")[:-1], "virtualNetworkRules"]
        if stack.profile in claim.profiles and not dig(r.inputs, ".".join(rules)):
            yield r.urn, f"Shut, without a private endpoint and without {'.'.join(rules)}: nobody could reach it"
        provider = kinds(stack.cloud).api_of(r.type)
        for subnet in (s for s in stack.of(_SUBNET) if s.urn in r.depends_on):
            if provider not in {one.get("service") for one in subnet.inputs.get("serviceEndpoints") or []}:
                yield subnet.urn, f"{r.name} lets this subnet in; Azure wants {provider} in its serviceEndpoints"


_SUBNET = "azure-native:network:Subnet"


_GROUP = "aws:ec2/securityGroup:SecurityGroup"
_INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
_SOURCES = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
_OF_A_GROUP = (_GROUP, _INGRESS, "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")


@rule("NET-008", "a security group stands before something, and lets somebody in", clouds=("aws",))
def groups_are_used(stack: Stack) -> Iterator[Breach]:
    """One that nobody names protects nothing; one without a way in makes what stands behind it unreachable."""
    for group in stack.of(_GROUP):
        users = {r.type for r in stack.resources if group.urn in r.depends_on and r.type.startswith("aws:")}
        if not users - {*_OF_A_GROUP}:
            yield group.urn, "Nothing stands behind this security group; name it where the service is made"
        if not group.inputs.get("vpcId"):
            yield group.urn, "This security group belongs to the account's default network; give it a vpcId"
        if _INGRESS not in users and not group.inputs.get("ingress"):
            yield group.urn, "This security group lets nobody in; add a SecurityGroupIngressRule"

    for way in stack.of(_INGRESS):
        if not any(way.inputs.get(source) for source in _SOURCES):
            yield way.urn, f"Says not who comes in; give it one of {', '.join(_SOURCES)}"
        if way.inputs.get("ipProtocol") != "-1" and None in (way.inputs.get("fromPort"), way.inputs.get("toPort")):
            yield way.urn, "Says not where one comes in; give it fromPort and toPort"


def _unlinked(stack: Stack) -> Iterator[Resource]:
    """What is shut to the public by its record and yet stands behind no private endpoint: nobody could reach it."""
    linked = {urn for r in stack.of("azure-native:network:PrivateEndpoint") for urn in r.depends_on}
    for type_, service in kinds(stack.cloud).services.items():
        claim = service.private
        if claim.at and not claim.endpoint:
            yield from (
                r for r in asked(stack.of(type_), claim) if r.urn not in linked and not r.name.endswith(AZURE_ITS_OWN)
            )


@rule("NET-010", "a service listens where the contract says, and its door is open there")
def listens_where_it_says(stack: Stack) -> Iterator[Breach]:
    """Else it is reached by nobody, and each of the three says that all is well."""
    ports = {name: part["port"] for name, part in stack.contract.items() if isinstance(part, dict) and "port" in part}
    for r in stack.resources:
        said = (r.inputs.get(key) for key in ("port", "fromPort", "toPort") if r.capability in ports)
        if wrong := [port for port in said if port not in (None, COMPUTED, ports[r.capability])]:
            yield r.urn, f"Says port {wrong[0]}; the contract tells everybody {r.capability}.port {ports[r.capability]}"
