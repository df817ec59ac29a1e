"""What an operator may choose, and what then stands or does not stand: the choices of INF-3, on three clouds."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.guard import Refusal
from infra.offline.plan import CLOUDS, STACKS, load, plan_stacks
from infra.offline.posture import posture
from infra.offline.recorder import record
from infra.offline.report import StackPlan
from infra.policies.rules.base import Company, Stack
from tests.planned import Plans

OWN_NETWORK = {
    "aws": {
        "id": "vpc-1",
        "cidr": "10.99.0.0/16",
        "node_subnet_ids": ["subnet-1", "subnet-2"],
        "data_subnet_ids": ["subnet-3", "subnet-4"],
        "edge_subnet_ids": ["subnet-5", "subnet-6"],
    },
    "azure": {
        "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v",
        "cidr": "10.99.0.0/16",
        "private_dns_zones": {"privatelink.blob.core.windows.net": "/zones/blob"},
        "node_subnet_ids": ["/v/subnets/nodes"],
        "data_subnet_ids": ["/v/subnets/data"],
        "endpoint_subnet_id": "/v/subnets/endpoints",
        "api_subnet_id": "/v/subnets/api",
    },
    "gcp": {
        "id": "projects/p/global/networks/n",
        "cidr": "10.99.0.0/16",
        "node_subnet_ids": ["projects/p/regions/us-central1/subnetworks/nodes"],
        "data_subnet_ids": ["projects/p/global/networks/n"],
    },
}
_FRONTS = [("azure", "prod"), ("azure", "small"), ("aws", "prod"), ("gcp", "prod")]
Plan = Callable[..., StackPlan]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Plans the prod stack of a cloud with some settings changed, section by section."""

    def planned(cloud: str, profile: str = "prod", **changed: Any) -> StackPlan:
        root = tmp_path / "stacks"
        shutil.copytree(STACKS, root, dirs_exist_ok=True)
        path = root / cloud / f"Pulumi.{profile}.yaml"
        config = yaml.safe_load(path.read_text())
        settings = config["config"][f"pointsman-{cloud}:settings"]
        for section, value in changed.items():
            settings[section] = {**settings.get(section, {}), **value} if isinstance(value, dict) else value
        path.write_text(yaml.safe_dump(config))
        return plan_stacks((cloud,), profile, root=root).stacks[0]

    return planned


def kinds(plan: StackPlan, capability: str = "") -> set[str]:
    return {r.type.split(":")[-1] for r in plan.resources if capability in ("", r.capability)}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_own_network_is_used_and_left_alone(plan: Plan, cloud: str) -> None:
    """Nothing of the network is made, no rule is broken for it, and the cluster stands in the given subnets."""
    found = plan(cloud, network={"existing": OWN_NETWORK[cloud]})
    assert (found.problems, found.findings) == ((), ())
    assert kinds(found, "network") == set()
    assert found.contract["network"]["id"] == OWN_NETWORK[cloud]["id"]
    assert OWN_NETWORK[cloud]["node_subnet_ids"][0] in json.dumps([r.inputs for r in found.resources])


@pytest.mark.parametrize("cloud", CLOUDS)
def test_without_models_nobody_may_ask_one(plan: Plan, cloud: str) -> None:
    """The embedded model needs no account, no endpoint and no grant."""
    found = plan(cloud, models={"names": []})
    assert (found.problems, found.findings) == ((), ())
    assert kinds(found, "models") == set()
    assert found.contract["models"]["kind"] == "embedded"
    granted = json.dumps([r.inputs for r in found.resources if r.capability == "identity"])
    assert "bedrock" not in granted
    assert "llm-invoke" not in json.dumps([r.name for r in found.resources])


@pytest.mark.parametrize("cloud", CLOUDS)
def test_registry_of_the_company_replaces_ours(plan: Plan, cloud: str) -> None:
    """Images come from there, and no repository or pull right of ours is made."""
    found = plan(cloud, registry={"external_url": "registry.example.com/pointsman"})
    assert (found.problems, found.findings) == ((), ())
    assert kinds(found, "registry") == set()
    assert found.contract["registry"]["images"]["gateway"] == "registry.example.com/pointsman/gateway"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_image_override_reaches_the_contract(plan: Plan, cloud: str) -> None:
    """One container from elsewhere, the others from our own registry."""
    images = plan(cloud, options={"images": {"router": "registry.example.com/router@sha256:1"}}).contract["registry"][
        "images"
    ]
    assert images["router"] == "registry.example.com/router@sha256:1"
    assert images["gateway"].endswith("/gateway")
    assert "example.com" not in images["gateway"]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_no_event_lake_no_bucket_and_no_grant(plan: Plan, cloud: str) -> None:
    """Worker and trainer lose the right together with the thing."""
    found = plan(cloud, objects={"event_lake": False})
    assert (found.problems, found.findings) == ((), ())
    assert found.contract["objects"]["lake"] == ""
    assert found.contract["options"]["event_lake"] is False
    assert not [r.name for r in found.resources if "lake" in r.name]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_log_store_of_the_company_is_used(plan: Plan, cloud: str) -> None:
    """The audit trail goes to the given bucket, account or log bucket, and none is made."""
    existing = {
        "aws": "company-audit",
        "azure": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/audit",
        "gcp": "projects/p/locations/us-central1/buckets/company",
    }[cloud]
    found = plan(cloud, observability={"existing_log_bucket": existing})
    assert (found.problems, found.findings) == ((), ())
    assert existing in json.dumps([r.inputs for r in found.resources if r.capability == "observability"])
    assert not kinds(found, "observability") & {"Bucket", "StorageAccount", "ProjectBucketConfig"}


def test_boundary_and_path_are_on_every_role(plan: Plan) -> None:
    """A company that limits roles limits all of ours, the services' included."""
    boundary = "arn:aws:iam::123456789012:policy/limits"
    found = plan("aws", identity={"role_path": "/support/", "permissions_boundary_arn": boundary})
    roles = [r for r in found.resources if r.type == "aws:iam/role:Role"]
    assert len(roles) > 8
    assert {(r.inputs["path"], r.inputs["permissionsBoundary"]) for r in roles} == {("/support/", boundary)}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_without_a_repository_ci_gets_nothing(plan: Plan, cloud: str) -> None:
    """No OIDC trust is made for nobody."""
    found = plan(cloud, ci={"repository": None})
    assert (found.problems, found.findings) == ((), ())
    assert kinds(found, "ci") == set()
    assert found.contract["ci"]["principal"] == ""


@pytest.mark.parametrize("cloud", CLOUDS)
def test_ci_trusts_one_repository_and_one_environment(plan: Plan, cloud: str) -> None:
    """Another repository, branch or environment of GitHub gets no token."""
    found = plan(cloud)
    text = json.dumps([r.inputs for r in found.resources if r.capability == "ci"])
    assert "repo:example/pointsman:environment:prod" in text
    assert "repo:example/pointsman:*" not in text


@pytest.mark.parametrize("cloud", CLOUDS)
def test_company_tags_are_on_everything_that_carries_tags(plan: Plan, cloud: str) -> None:
    """A tag of the company's own, beside the required ones."""
    found = plan(cloud, tags={"team": "support"})
    tagged = [t for r in found.resources if isinstance(t := r.inputs.get("tags") or r.inputs.get("labels"), dict)]
    ours = [t for t in tagged if "application" in t]
    assert len(ours) > 10
    assert all(t.get("team") == "support" for t in ours)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_on_demand_training_and_workers(plan: Plan, cloud: str) -> None:
    """Spot is a choice: without it no pool says spot."""
    found = plan(cloud, training={"spot": False, "time_limit_s": 7200}, cluster={"spot": False})
    assert (found.problems, found.findings) == ((), ())
    pools = [r.inputs for r in found.resources if r.type.endswith(("NodePool", "AgentPool"))]
    pools += [manifest["spec"] for manifest in found.contract["cluster"]["manifests"]]
    assert len(pools) >= 2
    text = json.dumps([{**pool, "template": _without_taints(pool)} for pool in pools])
    assert '"spot"' not in text.replace('"spot": false', "")
    assert "Spot" not in text
    assert (found.contract["options"]["spot_training"], found.contract["options"]["fine_tune_limit_s"]) == (False, 7200)


@pytest.mark.parametrize(("nat", "further"), [("per-zone", set()), ("none", {"ec2", "eks", "sqs"})])
def test_what_carries_nothing_of_ours_goes_out_through_nat_where_there_is_one(
    plan: Plan, nat: str, further: set[str]
) -> None:
    """Each endpoint costs 22 USD a month in three zones; without a way out nodes need those of the cluster, too."""
    made = (r for r in plan("aws", network={"nat": nat}).resources if r.inputs.get("vpcEndpointType") == "Interface")
    services = {r.inputs["serviceName"].removeprefix("com.amazonaws.us-east-1.") for r in made}
    carrying = {"bedrock-runtime", "ecr.api", "ecr.dkr", "eks-auth", "kms", "logs", "secretsmanager", "sns", "sts"}
    assert services == carrying | further


def _without_taints(pool: dict[str, Any]) -> list[Any]:
    """A taint keeps its name whatever the machines are."""
    return pool.get("template", {}).get("spec", {}).get("requirements", [])


_EXTRAS = {
    "aws": ({"observability": {"account_trail": False}, "models": {"invocation_log": False}}, "Trail"),
    "azure": ({"observability": {"subscription_log": False}, "registry": {"scan": False}}, "SubscriptionDiagnostic"),
    "gcp": ({"observability": {"exclude_default_sink": False}}, "ProjectExclusion"),
}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_counts_for_the_whole_account_can_be_left_out(plan: Plan, cloud: str) -> None:
    """On by default; off where the company has its own, and then the rules that miss it say so."""
    changed, kind = _EXTRAS[cloud]
    before, after = plan(cloud), plan(cloud, **changed)
    assert [k for k in kinds(before) if k.startswith(kind)]
    assert not [k for k in kinds(after) if k.startswith(kind)]
    assert after.problems == ()


def test_google_models_are_limited_by_policy_only_when_asked(plan: Plan) -> None:
    """The role for it exists on the organisation only; without it the first `up` was refused."""
    assert "Policy" not in kinds(plan("gcp"), "models")
    (policy,) = [
        r
        for r in plan("gcp", models={"organisation_policy": True}).resources
        if r.type == "gcp:orgpolicy/policy:Policy"
    ]
    assert "gemini" in json.dumps(policy.inputs["spec"])


def test_the_program_on_aws_needs_no_way_to_the_clusters_api(plan: Plan) -> None:
    """It is private and as young as the `up`; the node pools go to the platform layer, in the contract."""
    found = plan("aws")
    assert not [r for r in found.resources if r.type.startswith(("kubernetes:", "pulumi:providers:kubernetes"))]
    names = [manifest["metadata"]["name"] for manifest in found.contract["cluster"]["manifests"]]
    assert names == ["workers", "gpu"]
    assert set(names) == set(found.contract["cluster"]["pools"])


@pytest.mark.parametrize("cloud", CLOUDS)
def test_small_with_a_domain_gets_its_zone(plan: Plan, cloud: str) -> None:
    """The one optional part of the edge in `small`."""
    found = plan(cloud, "small", edge={"domain": "tickets.example.com"})
    assert (found.problems, found.findings) == ((), ())
    assert found.contract["edge"]["hostname"].endswith("tickets.example.com")
    assert kinds(found, "edge") & {"Zone", "ManagedZone"}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_chat_has_a_name_of_its_own_only_when_asked_for(plan: Plan, plans: Plans, cloud: str) -> None:
    """Record, certificate and way in come together; a chat that nobody opened has none of them."""
    opened, shut = plans[cloud, "prod"], plan(cloud, edge={"chat": "off"})
    assert (shut.problems, shut.findings) == ((), ())
    assert opened.contract["edge"]["chat_hostname"] == "chat.tickets.example.com"
    assert (shut.contract["edge"]["chat_hostname"], shut.contract["edge"]["chat_entry"]) == ("", "")
    more = Counter(r.type.split(":")[-1] for r in opened.resources) - Counter(
        r.type.split(":")[-1] for r in shut.resources
    )
    assert dict(more) == CHAT[cloud]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_chat_of_small_is_another_name_of_the_machine(plan: Plan, cloud: str) -> None:
    """A name that points at the machine's own: it follows where that goes."""
    found = plan(cloud, "small", edge={"domain": "tickets.example.com", "chat": "keys"})
    assert (found.problems, found.findings) == ((), ())
    hostname, chat = (found.contract["edge"][key] for key in ("hostname", "chat_hostname"))
    assert chat == "chat.tickets.example.com"
    (record,) = [r.inputs for r in found.resources if r.urn.endswith("entry-chat")]
    assert hostname in str(record)
    assert "CNAME" in str(record)


CHAT = {
    "aws": {
        "TargetGroup": 1,
        "SecurityGroupEgressRule": 1,
        "SecurityGroupIngressRule": 1,
        "Certificate": 1,
        "CertificateValidation": 1,
        "ListenerCertificate": 1,
        "ListenerRule": 1,
        "Record": 2,
    },
    "azure": {"AFDCustomDomain": 1, "AFDOriginGroup": 1, "AFDOrigin": 1, "Route": 1, "RecordSet": 2},
    "gcp": {"DnsAuthorization": 1, "Certificate": 1, "CertificateMapEntry": 1, "RecordSet": 2},
}


def test_azure_bus_is_standard_unless_premium_is_asked_for(plan: Plan) -> None:
    """Ids alone are on it. The posture says what Standard lacks, and falls silent when Premium is paid for."""
    standard, premium = plan("azure"), plan("azure", bus={"private": True})
    for found in (standard, premium):
        assert (found.problems, found.findings) == ((), ())
    assert "the bus has a public address" in posture(standard)["private"]
    assert "the bus, which holds ids alone, lies under Microsoft's key" in posture(standard)["encrypted"]
    assert posture(premium)["private"] == "yes"
    assert "the bus" not in posture(premium)["encrypted"]


def test_aws_models_are_asked_through_their_profiles(plan: Plan) -> None:
    """The contract names the profile, so that a call is on the stack's bill; the role may use what it names."""
    found = plan("aws")
    profiles = [r.inputs["name"] for r in found.resources if r.type.endswith(":InferenceProfile")]
    names = [d["name"] for d in found.contract["models"]["deployments"]]
    assert len(names) == 2
    assert {name.rpartition("application-inference-profile/")[2] for name in names} == set(profiles)
    granted = "".join(p for r in found.resources if "bedrock:Invoke" in (p := str(r.inputs.get("policy"))))
    assert all(name in granted for name in names)


def test_aws_database_takes_minor_upgrades_and_logs_into_our_group(plan: Plan) -> None:
    """A pinned minor would propose a downgrade after AWS's own upgrade; RDS's own group has no key and no end."""
    found = plan("aws")
    (instance,) = [r for r in found.resources if r.type == "aws:rds/instance:Instance"]
    assert instance.inputs["engineVersion"] == "17"
    (group,) = [r for r in found.resources if r.type.endswith(":LogGroup") and r.capability == "database"]
    assert group.inputs["name"] == f"/aws/rds/instance/{instance.inputs['identifier']}/postgresql"
    assert group.inputs["retentionInDays"] > 0


def test_aws_database_scales_between_two_capacities_when_asked(plan: Plan) -> None:
    """Aurora Serverless instead of a size; it holds to every rule, and the price follows its minimum."""
    found = plan("aws", database={"scaling_min": 1, "scaling_max": 16})
    (cluster,) = [r for r in found.resources if r.type == "aws:rds/cluster:Cluster"]
    assert cluster.inputs["serverlessv2ScalingConfiguration"] == {"minCapacity": 1, "maxCapacity": 16}
    assert len([r for r in found.resources if r.type == "aws:rds/clusterInstance:ClusterInstance"]) == 2
    assert (found.problems, found.findings) == ((), ())


def test_a_network_of_ones_own_is_let_in_by_its_own_range(plan: Plan) -> None:
    """The default range would keep the pods away from their database."""
    found = plan("aws", network={"existing": OWN_NETWORK["aws"]})
    (rule,) = [r for r in found.resources if r.type.endswith("IngressRule") and r.name.endswith("-database")]
    assert rule.inputs["cidrIpv4"] == "10.99.0.0/16"


def test_a_private_zone_that_the_network_has_is_not_made_again(plan: Plan) -> None:
    """Azure links a network to one zone of a name; the second link is refused."""
    found = plan("azure", network={"existing": OWN_NETWORK["azure"]})
    zones = [r.inputs["privateZoneName"] for r in found.resources if r.type.endswith(":PrivateZone")]
    assert "privatelink.blob.core.windows.net" not in zones
    assert "privatelink.vaultcore.azure.net" in zones
    assert "/zones/blob" in json.dumps([r.inputs for r in found.resources if r.type.endswith("PrivateDnsZoneGroup")])


def test_a_profile_over_a_continent_is_copied_from_the_profile(plan: Plan) -> None:
    """`eu.` is no foundation model: as one, its ARN was refused."""
    found = plan("aws", models={"names": ["us.amazon.nova-micro-v1:0"]})
    (profile,) = [r for r in found.resources if r.type.endswith(":InferenceProfile")]
    assert ":inference-profile/us.amazon" in profile.inputs["modelSource"]["copyFrom"]
    granted = "".join(p for r in found.resources if "bedrock:Invoke" in (p := str(r.inputs.get("policy"))))
    assert "arn:aws:bedrock:*::foundation-model/amazon.nova-micro-v1:0" in granted
    assert (found.problems, found.findings) == ((), ())


def test_the_gateway_can_tell_our_front_door_from_others(plan: Plan) -> None:
    """The network's service tag admits every customer's Front Door; elsewhere and in `small` there is none."""
    ids = {(cloud, profile): plan(cloud, profile).contract["edge"]["front_door_id"] for cloud, profile in _FRONTS}
    assert ids.pop(("azure", "prod")) == "pointsman-prod-edge-frontDoorId"
    assert set(ids.values()) == {""}


def test_azure_backup_names_the_containers_it_copies(plan: Plan) -> None:
    """Azure refuses a vaulted backup of an account that selects no container."""
    (blobs,) = [r for r in plan("azure").resources if r.type.endswith("BackupInstance") and r.name.endswith("-blobs")]
    (chosen,) = blobs.inputs["properties"]["policyInfo"]["policyParameters"]["backupDatasourceParametersList"]
    assert len(chosen["containersList"]) == 2


@pytest.mark.parametrize("cloud", CLOUDS)
def test_api_server_may_be_opened_to_named_networks(plan: Plan, cloud: str) -> None:
    """Operators' networks only; on Azure the endpoint is then the public name, for there is no private one."""
    found = plan(cloud, operators={"cidrs": ["203.0.113.0/24"]})
    assert (found.problems, found.findings) == ((), ())
    assert "203.0.113.0/24" in json.dumps([r.inputs for r in found.resources if r.capability == "cluster"])
    assert "private" not in found.contract["cluster"]["endpoint"].lower()


OPERATORS = {
    "aws": "arn:aws:iam::123456789012:role/platform",
    "azure": "group:11111111-2222-3333-4444-555555555555",
    "gcp": "group:platform@example.com",
}
# What lets an operator write a connector's secret, and the words that would let one into the database.
SEED = {
    "aws": "secretsmanager:PutSecretValue",
    "azure": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "gcp": "roles/secretmanager.secretVersionManager",
}
DATABASE = ("rds-db:connect", "secretsmanager:GetSecretValue", "roles/cloudsql.", "AdministratorsMicrosoftEntra")


def operators_part(found: StackPlan) -> list[str]:
    """What was planned for them, as text."""
    return [
        json.dumps([r.type, r.inputs]) for r in found.resources if r.capability == "identity" and "operator" in r.name
    ]


@pytest.mark.parametrize("profile", ["prod", "small"])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_operators_seed_upload_and_check_and_read_no_ticket(plan: Plan, cloud: str, profile: str) -> None:
    """A new stack's owner may fill the vault and run smoke; the database stays the migrator's."""
    nobody = plan(cloud, profile)
    assert not operators_part(nobody)
    found = plan(cloud, profile, operators={"principals": [OPERATORS[cloud]], "cidrs": ["203.0.113.0/24"]})
    assert (found.problems, found.findings) == ((), ())
    texts = operators_part(found)
    assert any(SEED[cloud] in text for text in texts)
    assert not [text for text in texts if any(word in text for word in DATABASE)]
    assert bool(found.contract["identity"]["operators"]) is (cloud == "aws")
    who = OPERATORS[cloud].removeprefix("group:") if cloud == "azure" else OPERATORS[cloud]
    assert any(who in text for text in texts)


def test_operators_networks_open_vault_storage_and_registry_on_azure(plan: Plan) -> None:
    """Private endpoints close the public names; named networks alone come in, and the key's vault stays shut."""
    found = plan("azure", operators={"cidrs": ["203.0.113.0/24", "198.51.100.7/32"]})
    assert (found.problems, found.findings) == ((), ())
    vaults = [r.inputs["properties"] for r in found.resources if r.type.endswith(":keyvault:Vault")]
    opened = [v for v in vaults if v["publicNetworkAccess"] == "Enabled"]
    assert [v["networkAcls"]["ipRules"] for v in opened] == [[{"value": "203.0.113.0/24"}, {"value": "198.51.100.7"}]]
    assert len(vaults) == 2
    stores = {r.name: r.inputs for r in found.resources if r.type.endswith((":StorageAccount", ":Registry"))}
    open_stores = sorted(name for name, inputs in stores.items() if inputs["publicNetworkAccess"] == "Enabled")
    assert open_stores == ["pointsmanprod", "pointsmanprodobj"]
    for name in open_stores:
        rules = stores[name]["networkRuleSet"]
        assert rules["defaultAction"] == "Deny"
        assert [r["iPAddressOrRange"] for r in rules["ipRules"]] == ["203.0.113.0/24", "198.51.100.7"]


def test_operators_take_their_role_from_their_network(plan: Plan) -> None:
    """AWS has no firewall before its vault: the role's trust asks where one comes from."""
    found = plan("aws", operators={"principals": [OPERATORS["aws"]], "cidrs": ["203.0.113.0/24"]})
    (role,) = [r for r in found.resources if r.type == "aws:iam/role:Role" and r.name.endswith("-operators")]
    (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"AWS": [OPERATORS["aws"]]}
    assert statement["Condition"] == {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}}


ZONE = {
    "aws": "Z0123456789ABCDEFGHIJ",
    "azure": "/subscriptions/s/resourceGroups/dns/providers/Microsoft.Network/dnsZones/example.com",
    "gcp": "example-com",
}
RECORDS = ("Record", "RecordSet")


@pytest.mark.parametrize("profile", ["prod", "small"])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_existing_zone_takes_the_records_and_none_is_made(plan: Plan, cloud: str, profile: str) -> None:
    """Records and cert-manager's grant name it; it is delegated already, so there is nothing to enter anywhere."""
    edge = {"domain": "tickets.example.com", "zone": ZONE[cloud]}
    found = plan(cloud, profile, edge=edge)
    assert (found.problems, found.findings) == ((), ())
    assert not kinds(found, "edge") & {"Zone", "ManagedZone"}
    assert found.contract["edge"]["zone"] == ZONE[cloud]
    assert found.contract["edge"]["name_servers"] == []
    records = [r.inputs for r in found.resources if r.capability == "edge" and r.type.split(":")[-1] in RECORDS]
    where = {r.get("zoneId") or r.get("managedZone") or f"{r['resourceGroupName']}/{r['zoneName']}" for r in records}
    assert where == {"dns/example.com" if cloud == "azure" else ZONE[cloud]}
    if cloud == "azure":
        names = {r["relativeRecordSetName"] for r in records}
        behind_front_door = {"tickets", "_dnsauth.tickets", "origin.tickets", "chat.tickets", "_dnsauth.chat.tickets"}
        assert names == (behind_front_door if profile == "prod" else {"www.tickets"})


@pytest.mark.parametrize("cloud", CLOUDS)
def test_name_servers_are_told_while_up_goes_on(cloud: str, tmp_path: Path) -> None:
    """AWS's certificate waits for the delegation, and a stack's outputs come when all is over."""
    said = record(load(cloud, "prod"), simulate=True).said
    assert [line for line in said if line.startswith("Delegate tickets.example.com at its parent domain now, to ")]
    assert not record(load(cloud, "prod"), simulate=False).said  # a preview knows none


GUARD = "pulumi-python:dynamic/infra:Guard"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_prod_is_not_destroyed_and_says_how_it_would_be(plans: Plans, plan: Plan, cloud: str) -> None:
    """All that holds data goes after the guard; `retire` lets both go, in one `up`."""
    whole = plans[cloud, "prod"]
    (guard,) = [r for r in whole.resources if r.type == GUARD]
    kept = {r.urn for r in whole.resources if r.protect}
    assert kept <= Stack.of_plan(whole, Company()).waits_for(guard)
    with pytest.raises(RuntimeError, match=r"pointsman-prod .*`retire: true` in Pulumi.prod.yaml; 3. `pulumi up`"):
        Refusal().delete("guard", guard.inputs)
    leaving = plan(cloud, retire=True)
    assert leaving.problems == ()
    assert not [r.urn for r in leaving.resources if r.protect]
    (open_guard,) = [r for r in leaving.resources if r.type == GUARD]
    assert Refusal().diff("guard", guard.inputs, open_guard.inputs).changes
    Refusal().delete("guard", open_guard.inputs)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_dev_goes_without_a_guard(plans: Plans, cloud: str) -> None:
    assert not [r for r in plans[cloud, "dev"].resources if r.type == GUARD]


@pytest.mark.parametrize(
    ("cloud", "machine", "database"),
    [
        ("aws", "t4g.medium", "db.t4g.medium"),
        ("azure", "Standard_B2als_v2", "Standard_B2s"),
        ("gcp", "e2-medium", "db-custom-2-4096"),
    ],
)
def test_small_takes_the_machine_and_the_database_it_asks_for(
    plan: Plan, cloud: str, machine: str, database: str
) -> None:
    """Prices knew them and no setting reached them."""
    cluster = {"memory_gib": 4, "spot": False}
    stack = plan(cloud, "small", cluster=cluster, database={"size": "compact"})
    assert (stack.problems, stack.findings) == ((), ())
    sizes = {text for r in stack.resources for text in _texts(r.inputs)}
    assert {machine, database} <= sizes
    assert "4 GiB" in posture(stack)["database"]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
