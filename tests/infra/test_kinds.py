"""A resource type is recorded once, and nothing about it can be forgotten in silence: each part is left out in turn."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import infra.kinds
from cost.book import load_book
from cost.rules import _OWN as OWN_PRICES
from cost.rules import RULES as PRICES
from infra.azure.private import link_of
from infra.kinds import QUESTIONS, Claim, Service, keepers, kinds, read_kinds
from infra.offline.plan import CLOUDS
from infra.offline.posture import posture
from infra.offline.switches import mere_settings, placeless, signs_in, silences, switches_of, unknown_inputs
from infra.policies.rules import RULES, check_stack
from infra.policies.rules.base import Company, Stack, asked
from infra.policies.rules.dependencies import unreached
from infra.policies.rules.needs import holds
from services.core.kit.errors import ConfigurationInvalid
from tests.infra.policies.mutations import put
from tests.planned import PROFILES, Plans

BY_OPTION = {"aws:rds/cluster:Cluster", "aws:rds/clusterInstance:ClusterInstance"}  # Aurora: database.scaling_*
FOLDER = Path(infra.kinds.__file__).parent


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_planned_type_is_recorded_and_every_record_is_planned(plans: Plans, cloud: str) -> None:
    """No type is unknown; a setting nobody makes any more is found as well, but for what options bring."""
    planned = {r.type for profile in PROFILES for r in plans[cloud, profile].resources}
    assert planned <= kinds(cloud).all
    assert set(kinds(cloud).services) - BY_OPTION <= planned


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_service_is_priced_or_says_why_not(cloud: str) -> None:
    """A price rule or a reason, never both; a setting has no rule."""
    priced, known = set(PRICES[cloud]), kinds(cloud)
    assert {type_ for type_, s in known.services.items() if not s.free} <= priced
    assert not priced & set(known.free)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_answer_left_out_is_an_error_that_names_it(cloud: str, tmp_path: Path) -> None:
    """Key, TLS, way in, login and tags of every service, one after the other; or the door that answers for it."""
    text, left_out = (FOLDER / f"{cloud}.yaml").read_text("utf-8"), tmp_path / "left-out.yaml"
    raw = yaml.safe_load(text)
    for type_, record in raw["services"].items():
        for question in QUESTIONS:
            gone = {question} if question in record else {"door"}
            less = {key: answer for key, answer in record.items() if key not in gone}
            if question in record and question in raw["doors"].get(record.get("door"), {}):
                less.pop("door")
            left_out.write_text(yaml.safe_dump({**raw, "services": {type_: less}}))
            with pytest.raises(ConfigurationInvalid, match=f"(?s){re.escape(type_)}`?.{question}.*Field required"):
                read_kinds(left_out)


def test_an_unknown_door_and_a_module_nobody_answers_for_are_errors(tmp_path: Path) -> None:
    """Azure's resource provider and Google's API of a new type are asked for where it is recorded."""
    file, raw = tmp_path / "kinds.yaml", yaml.safe_load((FOLDER / "azure.yaml").read_text("utf-8"))
    raw["settings"]["azure-native:cache:Redis"] = "free"
    file.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigurationInvalid, match="answers_for lacks cache"):
        read_kinds(file)
    raw["services"] = {"azure-native:cache:Redis": {"door": "barn"}}
    file.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigurationInvalid, match=r"Redis.door: there is no 'barn'; known are closed, cloud"):
        read_kinds(file)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_switch_that_nobody_speaks_of_is_an_error(cloud: str) -> None:
    """What a record says of a type's switches is left out one by one: the SDK itself knows that it is there."""
    for type_, service in kinds(cloud).services.items():
        assert silences(cloud, type_, service) == []
        mute = service.model_copy(update={"unasked": {}, **{q: Claim(none="forgotten") for q in QUESTIONS}})
        found = [line for line in silences(cloud, type_, mute) if "says nothing of" in line]
        assert len(found) == len(switches_of(type_))
        assert all(f"says nothing of {path}" in line for path, line in zip(switches_of(type_), found, strict=True))


@pytest.mark.parametrize(
    ("type_", "claims", "words"),
    [
        (
            "aws:elasticache/replicationGroup:ReplicationGroup",
            {"key": {"at": "kmsKeyId"}},
            "nothing of atRestEncryptionEnabled",
        ),
        (
            "aws:elasticache/replicationGroup:ReplicationGroup",
            {"tls": {"at": "transitEncryptionMode"}},
            "which values it may have",
        ),
        (
            "aws:elasticache/replicationGroup:ReplicationGroup",
            {"tls": {"at": "transitEncryptionMode", "is": ["preferred", "required"]}},
            "may be 'preferred'",
        ),
        ("azure-native:redisenterprise:Database", {}, "nothing of accessKeysAuthentication"),
        ("azure-native:redisenterprise:Database", {}, "nothing of clientProtocol"),
        ("gcp:memorystore/instance:Instance", {}, "nothing of authorizationMode"),
        ("gcp:redis/instance:Instance", {}, "nothing of authEnabled"),
        ("aws:elasticache/replicationGroup:ReplicationGroup", {}, "nothing of securityGroupIds"),
        ("aws:elasticache/serverlessCache:ServerlessCache", {}, "nothing of securityGroupIds"),
        ("aws:elasticache/replicationGroup:ReplicationGroup", {}, "nothing of subnetGroupName"),
        ("gcp:memorystore/instance:Instance", {}, "say in `way` how ours reaches it"),
        ("gcp:redis/instance:Instance", {}, "say in `way` how ours reaches it"),
        ("gcp:redis/cluster:Cluster", {}, "say in `way` how ours reaches it"),
        ("gcp:redis/cluster:Cluster", {}, "name deletionProtectionEnabled in `kept`"),
        ("gcp:memorystore/instance:Instance", {}, "name deletionProtectionEnabled in `kept`"),
        ("gcp:redis/instance:Instance", {}, "tags: it takes them as labels"),
        ("azure-native:redisenterprise:RedisEnterprise", {}, "tags: it takes them as tags"),
        ("aws:elasticache/replicationGroup:ReplicationGroup", {}, "tags: it takes them as tags"),
        ("azure-native:storage:StorageAccount", {}, "nothing of encryption.keySource"),
        (
            "azure-native:redisenterprise:RedisEnterprise",
            {"key": {"at": "encryption.customerManagedKeyEncryption.keyEncryptionKeyUrl"}},
            "encryption.customerManagedKeyEncryption.keyEncryptionKeyIdentity says who may use the key",
        ),
        (
            "azure-native:eventhub:Namespace",
            {"key": {"at": "encryption.keyVaultProperties.0.keyName"}},
            "encryption.keyVaultProperties.0.identity says who may use the key",
        ),
        (
            "azure-native:redisenterprise:RedisEnterprise",
            {"private": {"at": "publicNetworkAccess", "is": ["Disabled"]}},
            "name its part and its zone (`link`)",
        ),
        ("aws:transfer/user:User", {}, "is named by userName as well; say it in `names`"),
        (
            "aws:elasticache/replicationGroup:ReplicationGroup",
            {"hourly": {"row": "cache", "item": "cache"}},
            "numCacheClusters says how many machines it is",
        ),
        (
            "gcp:memorystore/instance:Instance",
            {"hourly": {"row": "cache", "item": "cache", "times": {"shardCount": "n"}}},
            "replicaCount says how many machines it is",
        ),
        (
            "azure-native:redisenterprise:RedisEnterprise",
            {"hourly": {"row": "cache", "item": "cache"}},
            "highAvailability says how many machines it is",
        ),
    ],
)
def test_what_a_stranger_forgot_of_a_cache_is_named(type_: str, claims: dict[str, Any], words: str) -> None:
    """A switch beside the key, TLS that is merely preferred, logins by a shared password."""
    record = {question: {"none": "forgotten"} for question in QUESTIONS} | claims
    assert any(words in line for line in silences(type_.split(":")[0], type_, Service.model_validate(record)))


def test_a_zone_is_of_one_service(tmp_path: Path) -> None:
    """Copied from the record of another, it would name the other."""
    text, file = (FOLDER / "azure.yaml").read_text("utf-8"), tmp_path / "azure.yaml"
    file.write_text(text.replace("privatelink.servicebus.windows.net", "privatelink.azurecr.io"))
    with pytest.raises(ConfigurationInvalid, match=r"privatelink\.azurecr\.io is .*Registry's zone; a zone is of one"):
        read_kinds(file)


def test_a_private_endpoint_reads_part_and_zone_in_the_record() -> None:
    """Said nowhere else; a type whose record is silent has none."""
    account = kinds("azure").services["azure-native:storage:StorageAccount"].private.link
    assert account
    assert link_of("azure-native:storage:StorageAccount") == (account.part, account.zone)
    with pytest.raises(ConfigurationInvalid, match=r"fictional:Cache\.private says nothing of `link`"):
        link_of("azure-native:fictional:Cache")


def test_its_own_name_is_no_switch() -> None:
    """A false alarm costs a builder a line that says nothing."""
    assert "userGroupId" not in switches_of("aws:elasticache/userGroup:UserGroup")
    assert "noPasswordRequired" in switches_of("aws:elasticache/user:User")


def test_what_google_keeps_says_where() -> None:
    """A registry without a location lies wherever the provider was pointed; a node pool lies where its cluster does."""
    registry, pool = "gcp:artifactregistry/repository:Repository", "gcp:container/nodePool:NodePool"
    services = kinds("gcp").services
    assert placeless("gcp", registry, services[registry], {}) == "location"
    assert placeless("gcp", registry, services[registry], {"location": "europe-west4"}) == ""
    assert placeless("gcp", pool, services[pool], {}) == ""


@pytest.mark.parametrize("cloud", CLOUDS)
def test_who_signs_somebody_in_is_no_setting(cloud: str) -> None:
    """A cache's user without a password planned clean as "identities are free"; asked of the SDK, of every setting."""
    assert mere_settings(cloud, kinds(cloud).settings) == []
    assert all(map(signs_in, ("aws:elasticache/user:User", "aws:memorydb/user:User", "gcp:sql/user:User")))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_a_cloud_can_keep_is_kept(plans: Plans, cloud: str) -> None:
    """Deletion and purge protection, switch by switch, as the SDK has them and the records name them."""
    plan = plans[cloud, "prod"]
    there = {r.type for r in plan.resources}
    for type_, path in ((t, p) for t, s in kinds(cloud).services.items() if t in there for p in s.kept):
        mutant = put(type_, path, False)(plan)
        assert list(RULES["DB-003"].findings(Stack.of_plan(mutant, Company()))), (type_, path)


def spoil(value: Any, steps: list[str]) -> Any:
    """The same inputs with what a record of `must` names gone or wrong, in the first item where there are many."""
    if not steps:
        return None
    head, *rest = steps
    if head == "*" or head.isdigit():
        return [spoil(value[0], rest), *value[1:]] if rest else []
    name, _, chosen = head.partition("[")
    if chosen:
        key, _, wanted = chosen.rstrip("]").partition("=")
        left = [spoil(i, rest) if str(i.get(key)) == wanted else i for i in value[name]]
        return {**value, name: left}
    return {**value, name: spoil(value[name], rest) if name in value else "wrong"}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_a_type_cannot_do_without_is_missed(plans: Plans, cloud: str) -> None:
    """Each line of `must` bites in some stack: its input is left out, or is another where leaving it out is right."""
    for type_, asked_of in kinds(cloud).must.items():
        for one in asked_of:
            found = [
                finding
                for profile in ("prod", "small")
                for r in plans[cloud, profile].resources
                if r.type == type_ and (one.when is None or holds(one.when, r.inputs))
                for inputs in (spoil(r.inputs, one.at.split(".")), put_wrong(r.inputs, one.at))
                for finding in RULES["REF-006"].findings(
                    Stack(cloud, profile, (r.model_copy(update={"inputs": inputs}),), {})
                )
            ]
            assert any(one.why in finding.message for finding in found), (type_, one.at)


def put_wrong(inputs: dict[str, Any], path: str) -> dict[str, Any]:
    """For what may be missing and may not be otherwise: `mapPublicIpOnLaunch`."""
    return {**inputs, path: "wrong"} if "." not in path else inputs


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_is_made_in_vain_is_found(plans: Plans, cloud: str) -> None:
    """Each line of `used_by` bites in some stack: all that name it are left out."""
    for type_, users in kinds(cloud).used_by.items():
        for these in users:
            found = []
            for profile in ("prod", "small"):
                plan = plans[cloud, profile]
                left = tuple(r for r in plan.resources if r.type not in these.split(" | "))
                found += RULES["REF-007"].findings(Stack(cloud, profile, left, {}))
            assert any(these in finding.message and type_ in finding.resource for finding in found), (type_, these)


BY_QUESTION = {"key": "ENC-001", "tls": "ENC-002", "private": "NET-006", "login": "IAM-005", "tags": "OPS-001"}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_claim_of_every_record_has_a_rule_that_bites(plans: Plans, cloud: str) -> None:
    """A seeded mistake for each input that a record names, derived: nobody writes one by hand."""
    for profile in ("small", "prod"):
        plan = plans[cloud, profile]
        first = {r.type: r for r in reversed(plan.resources)}
        for type_, service in kinds(cloud).services.items():
            for question in QUESTIONS if type_ in first else ():
                claim = service.claim(question)
                if profile in claim.profiles and asked([first[type_]], claim):
                    for path, allowed in claim.inputs:
                        wrong = "wrong" if allowed else None
                        mutant = put(type_, path, {} if question == "tags" else wrong)(plan)
                        stack = Stack.of_plan(mutant, Company())
                        assert list(RULES[BY_QUESTION[question]].findings(stack)), (profile, type_, question, path)


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("{}", "say one of `at`"),
        ("{at: kmsKeyId, none: no reason}", "say one of `at`"),
        ("{none: no reason, says: 'aws:sns/topic:Topic'}", "say one of `at`"),
        ("{none: its topic says}", "name the type as `says`"),
        ("{says: 'aws:sns/topic:Topic'}", "aws:sns/topic:Topic should say it, and has no record"),
    ],
)
def test_a_claim_says_where_or_why_not_or_who_says_it(claim: str, words: str, tmp_path: Path) -> None:
    """Nothing is forgetting, two are a contradiction, and somebody who is nobody says nothing."""
    file = tmp_path / "kinds.yaml"
    other = "{none: because}"
    fields = f"{{key: {claim}, tls: {other}, private: {other}, login: {other}, tags: {other}}}"
    file.write_text(f"services: {{'aws:sqs/queue:Queue': {fields}}}\nsettings: {{}}\n")
    with pytest.raises(ConfigurationInvalid, match=re.escape(words)):
        read_kinds(file)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_type_without_a_record_is_never_called_private_or_encrypted(plans: Plans, cloud: str) -> None:
    """An unknown cache: the finding says what to write where, the posture says no."""
    plan = plans[cloud, "prod"]
    stranger = plan.resources[0].model_copy(update={"type": f"{cloud}:cache/cache:Cache", "urn": "urn:cache"})
    with_it = plan.model_copy(update={"resources": (*plan.resources, stranger)})
    findings = tuple(f for f in check_stack(with_it) if f.policy == "EQ-003")
    assert [f.resource for f in findings] == ["urn:cache"]
    assert f"infra/kinds/{cloud}.yaml" in findings[0].message
    answers = posture(with_it.model_copy(update={"findings": findings}))
    assert answers["private"] == answers["encrypted"] == "NO: EQ-003"


def test_whose_things_lie_under_our_key_is_let_in_by_the_record(plans: Plans) -> None:
    """Google's agents are no list of their own: the record that names our key brings its service's agent to the key."""
    agents = {"gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"}
    for profile in PROFILES:
        let_in = {r.name.rpartition("-key-")[2] for r in plans["gcp", profile].resources if r.type in agents}
        assert let_in == set(keepers("gcp"))
    assert {"sqladmin", "pubsub", "storage", "container"} <= set(keepers("gcp"))


def test_a_way_says_where_it_lands() -> None:
    """A connection policy without a subnet gives no address to anybody."""
    policy = "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy"
    way: dict[str, Any] = {"through": policy, "at": "desiredAutoCreatedEndpoints"}
    for where, found in (({}, 1), ({"pscConfig.subnetworks": None}, 0)):
        record = {question: {"none": "forgotten"} for question in QUESTIONS} | {"way": way | {"where": where}}
        lines = silences("gcp", "gcp:memorystore/instance:Instance", Service.model_validate(record))
        assert len([line for line in lines if "pscConfig.subnetworks of" in line]) == found


@pytest.mark.parametrize(
    ("service_class", "found"), [("gcp-memorystore", []), ("gcp-alloydb", ["urn:cache"]), ("", ["urn:cache"])]
)
def test_a_cache_that_nobody_could_reach_is_found(plans: Plans, service_class: str, found: list[str]) -> None:
    """A connection policy of its own class, and made before it: Google refuses an instance without one."""
    policy = "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy"
    cache = "gcp:memorystore/instance:Instance"
    way = {"through": policy, "at": "desiredAutoCreatedEndpoints", "where": {"serviceClass": "gcp-memorystore"}}
    record = Service.model_validate({**{q: {"none": "of no matter here"} for q in QUESTIONS}, "way": way})
    plan = plans["gcp", "prod"]
    one = plan.resources[0]
    made = one.model_copy(update={"type": policy, "urn": "urn:policy", "inputs": {"serviceClass": service_class}})
    ahead = ("urn:policy",) if service_class else ()
    asks = {"desiredAutoCreatedEndpoints": [{"network": "ours"}]}
    mine = one.model_copy(update={"type": cache, "urn": "urn:cache", "depends_on": ahead, "inputs": asks})
    for resource, more in ((mine, []), (mine.model_copy(update={"inputs": {}}), ["urn:cache"])):  # of no network
        stack = Stack.of_plan(plan.model_copy(update={"resources": (*plan.resources, made, resource)}), Company())
        assert [urn for urn, _ in unreached(stack, {cache: record})] == more + found


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_record_names_inputs_that_the_type_has(cloud: str) -> None:
    """A misspelt path would read as "not set" and, in a profile that is not asked, as nothing at all."""
    services = kinds(cloud).services
    assert {type_: found for type_, one in services.items() if (found := unknown_inputs(type_, one))} == {}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_hourly_price_has_its_row_and_no_second_rule(cloud: str) -> None:
    """Said in the record, and nowhere else."""
    hourly = {type_: s.hourly for type_, s in kinds(cloud).services.items() if s.hourly}
    book = load_book(cloud)
    assert [
        f"{type_}: cost/prices/{cloud}.yaml has no {one.row}" for type_, one in hourly.items() if one.row not in book
    ] == []
    assert not set(hourly) & set(OWN_PRICES[cloud])
    assert not [type_ for type_, s in kinds(cloud).services.items() if s.hourly and s.free]
