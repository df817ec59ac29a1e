"""The checks of a stack on AWS, by boto3."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.checks import Check, NotAsExpected, Verdict
from infra.contract import Contract
from infra.smoke.edge import resolves
from infra.smoke.message import is_ours, new_message
from infra.smoke.objects import round_trip
from infra.smoke.use import ANSWER_TOKENS, QUESTION, Caller

_POLL_S = 2


@dataclass(frozen=True)
class Stack:
    contract: Contract
    session: Any
    endpoint: str | None
    patience_s: int

    def client(self, service: str) -> Any:
        return self.session.client(service, region_name=self.contract.region, endpoint_url=self.endpoint)


def checks(contract: Contract, *, endpoint: str | None = None, patience_s: int = 20) -> Iterator[tuple[str, Check]]:
    """
    The checks, one per capability.

    Args:
        endpoint: a server that stands in for AWS.
        patience_s: how long the test message may take.
    """
    import boto3

    stack = Stack(contract, boto3.Session(region_name=contract.region), endpoint, patience_s)
    for name, check in _CHECKS.items():
        yield name, lambda check=check: check(stack)


def caller(contract: Contract) -> Caller:
    """boto3's session signs: a login token of RDS, a presigned question to STS for EKS, a call to Bedrock."""
    import boto3

    session = boto3.Session(region_name=contract.region)
    host = contract.database.host

    def ask(deployment: str) -> str:
        question = [{"role": "user", "content": [{"text": QUESTION}]}]
        answer = session.client("bedrock-runtime").converse(
            modelId=deployment, messages=question, inferenceConfig={"maxTokens": ANSWER_TOKENS}
        )
        return answer["output"]["message"]["content"][0]["text"]

    return Caller(
        database=lambda user: session.client("rds").generate_db_auth_token(
            DBHostname=host, Port=contract.database.port, DBUsername=user
        ),
        cluster=lambda: cluster_token(session, contract.cluster.name),
        ask=ask,
    )


def cluster_token(session: Any, cluster: str) -> str:
    """What `aws eks get-token` prints: a signed question "who am I", which EKS asks in our place."""
    sts = session.client("sts")
    sts.meta.events.register(
        "before-sign.sts.GetCallerIdentity", lambda request, **_: request.headers.add_header("x-k8s-aws-id", cluster)
    )
    url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    return "k8s-aws-v1." + urlsafe_b64encode(url.encode()).decode().rstrip("=")


def _network(stack: Stack) -> str:
    vpc = stack.client("ec2").describe_vpcs(VpcIds=[stack.contract.network.id])["Vpcs"][0]
    return f"{vpc['VpcId']} {vpc['CidrBlock']} is {vpc['State']}"


def _keys(stack: Stack) -> str:
    kms, key = stack.client("kms"), stack.contract.keys.data
    if not kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]:
        raise NotAsExpected(f"{key} does not rotate", fix="pulumi up puts it right")
    return f"{kms.describe_key(KeyId=key)['KeyMetadata']['KeyState']}, rotates"


def _cluster(stack: Stack) -> str:
    cluster = stack.contract.cluster
    if stack.contract.is_small:
        tags = [{"Name": "tag:Name", "Values": [cluster.name]}, {"Name": "instance-state-name", "Values": ["running"]}]
        found = stack.client("ec2").describe_instances(Filters=tags)["Reservations"]
        if not found:
            raise NotAsExpected("No node is running", fix="See the scaling group's activity: spot may be scarce")
        return f"{found[0]['Instances'][0]['InstanceId']} is running"
    status = stack.client("eks").describe_cluster(name=cluster.name)["cluster"]["status"]
    return _expect(status, "ACTIVE", cluster.name)


def _database(stack: Stack) -> str:
    rds, host = stack.client("rds"), stack.contract.database.host
    found = [
        *(d["DBInstanceStatus"] for d in rds.describe_db_instances()["DBInstances"] if _address(d) == host),
        *(d["Status"] for d in rds.describe_db_clusters()["DBClusters"] if d.get("Endpoint") == host),  # Aurora
    ]
    return _expect(found[0] if found else "missing", "available", host)


def _address(instance: dict[str, Any]) -> str:
    return instance.get("Endpoint", {}).get("Address", "")


def _objects(stack: Stack) -> str:
    from obstore.auth.boto3 import Boto3CredentialProvider

    local = {"endpoint": stack.endpoint, "client_options": {"allow_http": True}} if stack.endpoint else {}
    reach = {"region": stack.contract.region, "credential_provider": Boto3CredentialProvider(stack.session), **local}
    return round_trip(stack.contract.objects.documents, **reach)


def _bus(stack: Stack) -> str:
    """Publish to the topic, take it from the queue; messages of others are left where they are."""
    id_, body = new_message()
    stack.client("sns").publish(TopicArn=stack.contract.bus.topic, Message=body)
    sqs, queue = stack.client("sqs"), stack.contract.bus.queue
    for _ in range(max(1, stack.patience_s // _POLL_S)):
        got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=_POLL_S, VisibilityTimeout=5)
        for message in got.get("Messages", []):
            if is_ours(message["Body"], id_):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                return "a message went from topic to queue and was taken out again"
    raise NotAsExpected(f"No message came out of {queue}", fix="Look at the queue's policy and its subscription")


def _registry(stack: Stack) -> str:
    host, _, prefix = stack.contract.registry.url.partition("/")
    if not host.endswith(".amazonaws.com"):
        return f"{stack.contract.registry.url} is the company's own"
    names = [f"{prefix}/{container}" for container in stack.contract.registry.images]
    found = stack.client("ecr").describe_repositories(repositoryNames=names)["repositories"]
    return f"{len(found)} repositories under {prefix}"


def _secrets(stack: Stack) -> str:
    client, empty = stack.client("secretsmanager"), []
    for name, arn in stack.contract.secrets.connectors.items():
        if not client.describe_secret(SecretId=arn).get("VersionIdsToStages"):
            empty.append(name)
    if empty:
        fix = "aws secretsmanager put-secret-value --secret-id <arn> --secret-string file://credentials.json"
        raise NotAsExpected(f"No value yet for {', '.join(empty)}", fix=fix, verdict=Verdict.WARNING)
    return f"{len(stack.contract.secrets.connectors)} connectors have their credentials"


def _models(stack: Stack) -> str:
    if stack.contract.models.kind == "embedded":
        return "the embedded model needs nothing"
    logging = stack.client("bedrock").get_model_invocation_logging_configuration().get("loggingConfig")
    if not logging:
        raise NotAsExpected("Bedrock logs no invocations", fix="pulumi up puts it right")
    return f"{len(stack.contract.models.deployments)} models, invocations logged"


def _identity(stack: Stack) -> str:
    iam, principals = stack.client("iam"), set(stack.contract.identity.principals.values())
    for arn in principals:
        iam.get_role(RoleName=arn.rsplit("/", 1)[-1])
    return f"{len(principals)} roles"


def _edge(stack: Stack) -> str:
    return resolves(stack.contract.edge.hostname)


def _observability(stack: Stack) -> str:
    name = stack.contract.observability.logs
    found = stack.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    if not found or "retentionInDays" not in found[0]:
        raise NotAsExpected(f"{name} is missing or keeps its lines for ever", fix="pulumi up puts it right")
    return f"{name} keeps {found[0]['retentionInDays']} days"


def _alerts(stack: Stack) -> str:
    topic = stack.contract.observability.alerts
    waiting = stack.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"].get("SubscriptionsPending", "0")
    if waiting != "0":
        fix = "Click the link in the mail from AWS Notifications"
        raise NotAsExpected("The alert address is not confirmed", fix=fix, verdict=Verdict.WARNING)
    return "the alert address is confirmed"


def _budget(stack: Stack) -> str:
    found = stack.client("budgets").describe_budgets(AccountId=stack.contract.account).get("Budgets", [])
    ours = [b for b in found if b["BudgetName"].startswith(stack.contract.application)]
    if not ours:
        raise NotAsExpected("There is no budget", fix="pulumi up puts it right")
    return f"{ours[0]['BudgetLimit']['Amount']} USD a month"


def _expect(found: str, wanted: str, what: str) -> str:
    if found != wanted:
        raise NotAsExpected(f"{what} is {found}, not {wanted}", fix="Wait, or read its events in the console")
    return f"{what} is {found}"


_CHECKS = {
    "network": _network,
    "keys": _keys,
    "cluster": _cluster,
    "database": _database,
    "objects": _objects,
    "bus": _bus,
    "registry": _registry,
    "secrets": _secrets,
    "models": _models,
    "identity": _identity,
    "edge": _edge,
    "observability": _observability,
    "alerts": _alerts,
    "budget": _budget,
}
