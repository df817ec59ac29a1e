"""One topic for fan-out, one queue subscribed to it, one place for what nobody could read."""

from collections.abc import Sequence

import pulumi_aws as aws
from pulumi import Output

from infra.aws.access import Allow
from infra.aws.foundation import AwsFoundation
from infra.capabilities import Bus, Ground, Reach, Scope
from infra.grants import Access

_FOURTEEN_DAYS_S = 14 * 24 * 3600  # the longest SQS keeps a message
DELIVERIES_MAX = 5


def build(scope: Scope, ground: Ground[AwsFoundation]) -> Bus:
    key = ground.keys.data
    topic = aws.sns.Topic(scope.name("events"), kms_master_key_id=key, opts=scope.own())
    dead = aws.sqs.Queue(
        scope.name("dead-letters"),
        kms_master_key_id=key,
        message_retention_seconds=_FOURTEEN_DAYS_S,
        opts=scope.own(),
    )
    queue = aws.sqs.Queue(
        scope.name("events"),
        kms_master_key_id=key,
        visibility_timeout_seconds=60,
        message_retention_seconds=_FOURTEEN_DAYS_S,
        receive_wait_time_seconds=20,
        redrive_policy=Output.json_dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": DELIVERIES_MAX}),
        opts=scope.own(),
    )
    _subscribe(scope, topic, queue, dead)
    return Bus(
        kind="sns-sqs",
        topic=topic.arn,
        queue=queue.url,
        dead_letters=dead.url,
        topic_id=topic.arn,
        queue_id=queue.arn,
        alarmed_by=dead.name,
    )


def words(reach: Reach[AwsFoundation], what: Access, _: Sequence[str]) -> list[Allow]:
    bus = reach.stores.bus
    return {
        Access.BUS_PUBLISH: [Allow(["sns:Publish"], [bus.topic_id])],
        Access.BUS_READ: [Allow(["sqs:ReceiveMessage", "sqs:DeleteMessage"], [bus.queue_id])],
    }[what]


def _subscribe(scope: Scope, topic: aws.sns.Topic, queue: aws.sqs.Queue, dead: aws.sqs.Queue) -> None:
    from_topic = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue.arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic.arn}},
    }
    policy = aws.sqs.QueuePolicy(
        scope.name("events"),
        queue_url=queue.url,
        policy=Output.json_dumps({"Version": "2012-10-17", "Statement": [from_topic]}),
        opts=scope.own(),
    )
    aws.sqs.RedriveAllowPolicy(
        scope.name("dead-letters"),
        queue_url=dead.url,
        redrive_allow_policy=Output.json_dumps({"redrivePermission": "byQueue", "sourceQueueArns": [queue.arn]}),
        opts=scope.own(),
    )
    aws.sns.TopicSubscription(
        scope.name("events"),
        topic=topic.arn,
        protocol="sqs",
        endpoint=queue.arn,
        raw_message_delivery=True,
        opts=scope.own(depends_on=[policy]),
    )
