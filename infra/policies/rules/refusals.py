"""REF: what types allow and a cloud is known to refuse, at creation or at the first request. Each names its source."""

from collections.abc import Callable, Iterator
from typing import Any

from infra.policies.rules.base import COMPUTED, Breach, Stack, dig, equals, is_set, must, rule
from infra.policies.rules.encryption import policy_statements

_AKS = "azure-native:containerservice:ManagedCluster"
_REGISTRY = "azure-native:containerregistry:Registry"
# docs.aws.amazon.com/eks/latest/userguide/network-reqs.html: no cluster's subnet may lie here
_NO_EKS = ("use1-az3", "usw1-az2", "cac1-az3")


@rule("REF-001", "no zone, tier or key that the cloud refuses at creation")
def refused_at_creation(stack: Stack) -> Iterator[Breach]:
    yield from _CREATION[stack.cloud](stack)


def _aws_creation(stack: Stack) -> Iterator[Breach]:
    subnets = stack.of("aws:ec2/subnet:Subnet")
    yield from must(subnets, "availabilityZoneId", lambda z: z not in _NO_EKS, "EKS refuses this zone")
    for r in stack.of("aws:eks/cluster:Cluster"):
        if len(dig(r.inputs, "vpcConfig.subnetIds") or []) < 2:
            yield r.urn, "EKS wants subnets in two zones; set network.zones"


def _azure_creation(stack: Stack) -> Iterator[Breach]:
    """MicrosoftDocs/azure-docs/issues/61064; learn.microsoft.com/azure/network-watcher/nsg-flow-logs-overview"""
    closed = any(dig(r.inputs, "properties.publicNetworkAccess") == "Disabled" for r in stack.of(_VAULT))
    keyed = [r for r in stack.of(_REGISTRY) if dig(r.inputs, "encryption.keyVaultProperties.identity")]
    yield from ((r.urn, "A registry's identity cannot reach a key in a closed vault") for r in keyed if closed)
    grants = stack.of("azure-native:authorization:RoleAssignment")
    with_keys = [
        v for v in stack.of(_VAULT) if any(v.urn in k.depends_on for k in stack.of("azure-native:keyvault:Key"))
    ]
    shut_out = "Services that encrypt for us come in as trusted ones alone"
    yield from must(with_keys, "properties.networkAcls.bypass", equals("AzureServices"), shut_out)
    unknown = "A new identity is unknown to Entra for a while, and a grant that names no type of it is refused"
    yield from must(grants, "principalType", is_set, unknown)
    year = "Flow logs are kept 365 days at most"
    yield from must(stack.of("azure-native:network:FlowLog"), "retentionPolicy.days", lambda d: (d or 0) <= 365, year)
    for r in stack.of("azure-native:dbforpostgresql:Server"):
        if dig(r.inputs, "sku.tier") == "Burstable" and dig(r.inputs, "highAvailability.mode") == "ZoneRedundant":
            yield r.urn, "A burstable server cannot be highly available; choose database.size medium"
    basic = {r.urn for r in stack.of("azure-native:servicebus:Namespace") if dig(r.inputs, "sku.name") == "Basic"}
    for r in stack.of("azure-native:servicebus:Topic"):
        if basic & set(r.depends_on):
            yield r.urn, "Basic has queues alone; make a queue, or take Standard"
    for r in stack.of("azure-native:compute:VirtualMachineScaleSet"):
        on_spot = dig(r.inputs, "virtualMachineProfile.priority") == "Spot"
        if on_spot and dig(r.inputs, "virtualMachineProfile.evictionPolicy") != "Deallocate":
            yield r.urn, "Evicted, it would come back under another number, and the contract names this one (vm0)"
    for r in stack.of(_AKS):
        through_nat = dig(r.inputs, "networkProfile.outboundType") == "userAssignedNATGateway"
        if through_nat and stack.has_own_network and not stack.of("azure-native:network:NatGateway"):
            yield r.urn, "The cluster's way out is a NAT gateway, and there is none; set network.nat"


_GKE, _SUBNETWORK = "gcp:container/cluster:Cluster", "gcp:compute/subnetwork:Subnetwork"
_VAULT = "azure-native:keyvault:Vault"


def _gcp_creation(stack: Stack) -> Iterator[Breach]:
    """cloud.google.com/docs/authentication/troubleshoot-adc#user-creds-client-based: the call must name who pays."""
    ranges = {dig(one, "rangeName") for s in stack.of(_SUBNETWORK) for one in s.inputs.get("secondaryIpRanges") or []}
    for r in stack.of(_GKE) if stack.has_own_network else ():
        for path in ("clusterSecondaryRangeName", "servicesSecondaryRangeName"):
            if dig(r.inputs, f"ipAllocationPolicy.{path}") not in ranges:
                yield r.urn, f"Its subnet has no range that {path} names; it has {sorted(map(str, ranges))}"
        if not stack.of("gcp:compute/routerNat:RouterNat"):
            yield r.urn, "Its machines have no public address and no way out: set network.nat"
    payers = [r for r in stack.of("pulumi:providers:gcp") if r.inputs.get("billingProject")]
    paid = {r.urn for r in payers if str(r.inputs.get("userProjectOverride")).lower() == "true"}
    for r in stack.of("gcp:billing/budget:Budget"):
        if not paid & set(r.depends_on):
            yield r.urn, "A budget made with a person's credentials is answered 403 without a billing project"


_CREATION: dict[str, Callable[[Stack], Iterator[Breach]]] = {
    "aws": _aws_creation,
    "azure": _azure_creation,
    "gcp": _gcp_creation,
}


@rule("REF-002", "webhooks are never refused for the words in a ticket", clouds=("aws", "gcp"))
def webhooks_pass(stack: Stack) -> Iterator[Breach]:
    """Managed rules block HTML and addresses in a body. On Azure there are none (Front Door Standard)."""
    message = "Blocks what tickets quote; leave /hooks/ and /webhook/ out of it"
    for r in stack.of("aws:wafv2/webAcl:WebAcl"):
        for one in r.inputs.get("rules") or []:
            managed = dig(one, "statement.managedRuleGroupStatement")
            if managed and "count" not in (one.get("overrideAction") or {}) and not _spares_hooks(managed):
                yield r.urn, f"{one.get('name')}: {message}"
    for r in stack.of("gcp:compute/securityPolicy:SecurityPolicy"):
        for one in r.inputs.get("rules") or []:
            expression = str(dig(one, "match.expr.expression") or "")
            if "evaluatePreconfiguredWaf" in expression and not _names_hooks(expression) and not one.get("preview"):
                yield r.urn, f"{message} ({expression[:60]})"


def _spares_hooks(managed: dict[str, Any]) -> bool:
    return _names_hooks(str(dig(managed, "scopeDownStatement.notStatement") or ""))


def _names_hooks(text: str) -> bool:
    return "hooks" in text and "webhook" in text


@rule("REF-003", "the edge's machinery may reach the pods", profiles=("dev", "prod"), clouds=("aws", "azure"))
def edge_reaches_pods(stack: Stack) -> Iterator[Breach]:
    if stack.cloud == "aws":
        # docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEKSLoadBalancingPolicy.html: the condition
        targets = stack.of("aws:lb/targetGroup:TargetGroup")
        yield from must(targets, "tags.eks:eks-cluster-name", is_set, "Auto Mode may not register pods here")
        rules = stack.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
        open_ = {r.inputs.get("fromPort") for r in rules if r.inputs.get("referencedSecurityGroupId")}
        for r in (r for r in targets if r.inputs.get("port") not in open_):
            yield r.urn, f"No rule lets the balancer's group in at the cluster's, on {r.inputs.get('port')}"
        return
    # learn.microsoft.com/azure/aks/static-ip: the cluster's identity needs Network Contributor where the address lies
    grants = stack.of("azure-native:authorization:RoleAssignment")
    for r in stack.of("azure-native:network:PublicIPAddress"):
        if r.name.endswith("-gateway") and not any(r.urn in g.depends_on for g in grants):
            yield r.urn, "The cluster's identity may not join this address"


_TELEMETRY_AWS = ("aps:RemoteWrite", "logs:PutLogEvents", "xray:PutTraceSegments")
_TELEMETRY_GCP = ("roles/logging.logWriter", "roles/monitoring.metricWriter", "roles/cloudtrace.agent")
_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"  # Monitoring Metrics Publisher
_INLETS = ("azure-native:applicationinsights:Component", "azure-native:monitor:AzureMonitorWorkspace")


@rule("REF-004", "somebody may write what the stores of logs, metrics and traces wait for")
def telemetry_arrives(stack: Stack) -> Iterator[Breach]:
    stack_ = f"{stack.cloud}/{stack.profile}"
    if stack.cloud == "azure":
        yield from _azure_telemetry(stack, stack_)
        return
    if stack.cloud == "aws":
        policies = stack.of("aws:iam/rolePolicy:RolePolicy")
        if any(r.inputs.get("policy") in (None, COMPUTED) for r in policies):
            return  # a first preview does not know the documents yet
        found = {a for r in policies for s in policy_statements(r.inputs.get("policy")) for a in _listed(s)}
        missing = set(_TELEMETRY_AWS) - found
    else:
        missing = set(_TELEMETRY_GCP) - {r.inputs.get("role") for r in stack.of("gcp:projects/iAMMember:IAMMember")}
    if missing:
        yield stack_, f"No identity may {', '.join(sorted(missing))}"


def _azure_telemetry(stack: Stack, name: str) -> Iterator[Breach]:
    grants = stack.of("azure-native:authorization:RoleAssignment")
    writers = [g for g in grants if str(g.inputs.get("roleDefinitionId")).endswith(_PUBLISHER)]
    for r in stack.of(*_INLETS):
        if not any(r.urn in g.depends_on for g in writers):
            yield r.urn, "No identity may write here"
    scraping = [r for r in stack.of(_AKS) if dig(r.inputs, "azureMonitorProfile.metrics.enabled")]
    if scraping and not stack.of("azure-native:monitor:DataCollectionRuleAssociation"):
        yield name, "The cluster's metrics agent has no collection rule: its samples go nowhere"


def _listed(statement: dict[str, Any]) -> list[str]:
    actions = statement.get("Action") or []
    return [actions] if isinstance(actions, str) else list(actions)


@rule("REF-005", "a sum is compared with what this stack spends alone", clouds=("aws", "gcp"))
def budget_is_ours(stack: Stack) -> Iterator[Breach]:
    """Environments share an application's tag, and in one account the bill; Azure's budget is the group's."""
    ours = f"{dig(stack.contract, 'application')}-"
    for r in stack.of("aws:budgets/budget:Budget"):
        values = [v for f in r.inputs.get("costFilters") or [] for v in f.get("values") or []]
        if stack.contract and not any(f"user:stack${ours}" in str(v) for v in values):
            yield r.urn, "Filters by a tag that other environments carry too; use the tag `stack`"
    yield from must(stack.of("gcp:billing/budget:Budget"), "budgetFilter.labels.stack", is_set, "No label `stack`")
