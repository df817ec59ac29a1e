"""The AWS checks against moto's server: a stack as `pulumi up` leaves it, then one thing wrong at a time."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from infra.catalogue import CATALOGUE
from infra.checks import Outcome, Verdict
from infra.contract import Contract
from infra.smoke.run import smoke
from tests.planned import Plans

REGION = "us-east-1"
PREFIX = "pointsman-prod"


@pytest.fixture
def aws(moto_url: str, aws_credentials: None) -> Iterator[Any]:
    def client(service: str) -> Any:
        return boto3.client(service, region_name=REGION, endpoint_url=moto_url)

    yield client
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST")).read()


@pytest.fixture
def contract(aws: Any, plans: Plans) -> Contract:
    """The planned contract of prod, its references replaced by those of a stack made in moto."""
    raw = json.loads(json.dumps(plans["aws", "prod"].contract))
    vpc = aws("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        aws("ec2").create_subnet(VpcId=vpc, CidrBlock=f"10.0.{i}.0/24", AvailabilityZone=f"{REGION}{z}")["Subnet"][
            "SubnetId"
        ]
        for i, z in enumerate("ab")
    ]
    raw["network"]["id"] = vpc
    raw["keys"]["data"] = _key(aws)
    raw["cluster"]["name"] = _cluster(aws, subnets)
    raw["database"]["host"] = _database(aws)
    raw["objects"]["documents"] = _bucket(aws)
    raw["bus"] |= _bus(aws)
    raw["secrets"]["connectors"] = {"zendesk": _secret(aws)}
    raw["identity"]["principals"] = {name: _role(aws, name) for name in raw["identity"]["principals"]}
    raw["edge"]["hostname"] = "localhost"
    raw["observability"] |= _watch(aws, raw["observability"]["logs"])
    _rest(aws, raw)
    return Contract.model_validate(raw)


def outcomes(contract: Contract, moto_url: str) -> dict[str, Outcome]:
    return {o.name: o for o in smoke(contract, endpoint=moto_url, patience_s=2)}


def test_a_deployed_stack_passes_every_check(contract: Contract, moto_url: str) -> None:
    """Every capability that the catalogue does not excuse, each with a fact from the server."""
    found = outcomes(contract, moto_url)
    assert {name: o.fact for name, o in found.items() if o.verdict is not Verdict.OK} == {}
    assert set(found) == {c.name for c in CATALOGUE if not {"*", "aws"} & set(c.unchecked)}


def test_object_and_message_leave_nothing_behind(contract: Contract, moto_url: str, aws: Any) -> None:
    """The test object is removed, the test message consumed, another's message left in the queue."""
    aws("sqs").send_message(QueueUrl=contract.bus.queue, MessageBody="someone else's")
    found = outcomes(contract, moto_url)
    assert found["objects"].verdict is found["bus"].verdict is Verdict.OK
    bucket = contract.objects.documents.removeprefix("s3://")
    assert aws("s3").list_objects_v2(Bucket=bucket).get("Contents", []) == []
    counts = aws("sqs").get_queue_attributes(QueueUrl=contract.bus.queue, AttributeNames=["All"])["Attributes"]
    kept = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    assert sum(int(counts[k]) for k in kept) == 1


def test_key_that_does_not_rotate_is_missing(contract: Contract, moto_url: str, aws: Any) -> None:
    """The reader learns what is wrong and what to do."""
    aws("kms").disable_key_rotation(KeyId=contract.keys.data)
    outcome = outcomes(contract, moto_url)["keys"]
    assert (outcome.verdict, outcome.fix) == (Verdict.MISSING, "pulumi up puts it right")


def test_secret_without_a_value_is_a_warning(contract: Contract, moto_url: str, aws: Any) -> None:
    """The stack is sound; a person still has to put the credentials in."""
    arn = aws("secretsmanager").create_secret(Name="empty")["ARN"]
    secrets = contract.secrets.model_copy(update={"connectors": {"zendesk": arn}})
    outcome = outcomes(contract.model_copy(update={"secrets": secrets}), moto_url)["secrets"]
    assert outcome.verdict is Verdict.WARNING
    assert "put-secret-value" in outcome.fix


def test_subscription_that_is_gone_fails_the_round_trip(contract: Contract, moto_url: str, aws: Any) -> None:
    """A message that never arrives is found, though topic and queue are both there."""
    for s in aws("sns").list_subscriptions_by_topic(TopicArn=contract.bus.topic)["Subscriptions"]:
        aws("sns").unsubscribe(SubscriptionArn=s["SubscriptionArn"])
    assert outcomes(contract, moto_url)["bus"].verdict is Verdict.MISSING


def test_one_failure_does_not_hide_the_others(contract: Contract, moto_url: str) -> None:
    """A VPC that is not there leaves thirteen answers."""
    network = contract.network.model_copy(update={"id": "vpc-0123456789abcdef0"})
    found = outcomes(contract.model_copy(update={"network": network}), moto_url)
    assert found["network"].verdict is Verdict.UNKNOWN
    assert sum(o.verdict is Verdict.OK for o in found.values()) == 13


def _key(aws: Any) -> str:
    key = aws("kms").create_key()["KeyMetadata"]["Arn"]
    aws("kms").enable_key_rotation(KeyId=key)
    return key


def _cluster(aws: Any, subnets: list[str]) -> str:
    vpc = {"subnetIds": subnets}
    return aws("eks").create_cluster(name=PREFIX, roleArn="arn:aws:iam::123456789012:role/x", resourcesVpcConfig=vpc)[
        "cluster"
    ]["name"]


def _database(aws: Any) -> str:
    """What the stacks plan; Aurora is an option."""
    made = aws("rds").create_db_instance(
        DBInstanceIdentifier="database",
        DBInstanceClass="db.m7g.large",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="administrator",
        ManageMasterUserPassword=True,
    )
    return made["DBInstance"]["Endpoint"]["Address"]


def _bucket(aws: Any) -> str:
    aws("s3").create_bucket(Bucket="documents")
    return "s3://documents"


def _bus(aws: Any) -> dict[str, str]:
    topic = aws("sns").create_topic(Name="events")["TopicArn"]
    queue = aws("sqs").create_queue(QueueName="events")["QueueUrl"]
    arn = aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    return {"topic": topic, "queue": queue}


def _secret(aws: Any) -> str:
    return aws("secretsmanager").create_secret(Name="zendesk", SecretString="{}")["ARN"]


def _role(aws: Any, name: str) -> str:
    return aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}", Path="/pointsman/")["Role"]["Arn"]


def _watch(aws: Any, logs: str) -> dict[str, str]:
    aws("logs").create_log_group(logGroupName=logs)
    aws("logs").put_retention_policy(logGroupName=logs, retentionInDays=30)
    return {"alerts": aws("sns").create_topic(Name="alerts")["TopicArn"]}


def _rest(aws: Any, raw: dict[str, Any]) -> None:
    """Repositories, invocation log and budget: the contract names them by convention."""
    prefix = raw["registry"]["url"].split("/", 1)[1]
    for container in raw["registry"]["images"]:
        aws("ecr").create_repository(repositoryName=f"{prefix}/{container}")
    aws("logs").create_log_group(logGroupName="bedrock")
    aws("bedrock").put_model_invocation_logging_configuration(
        loggingConfig={"cloudWatchConfig": {"logGroupName": "bedrock", "roleArn": "arn:aws:iam::123456789012:role/x"}}
    )
    limit = {"Amount": "400", "Unit": "USD"}
    budget = {"BudgetName": "pointsman-prod-monthly", "BudgetLimit": limit, "TimeUnit": "MONTHLY", "BudgetType": "COST"}
    aws("budgets").create_budget(AccountId=raw["account"], Budget=budget)
