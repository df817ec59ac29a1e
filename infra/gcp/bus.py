"""One topic for fan-out, one subscription on it, one topic for what nobody could read."""

import pulumi_gcp as gcp
from pulumi import Input, Resource

from infra.capabilities import Bus, Ground, Reach, Scope
from infra.gcp.foundation import GcpFoundation
from infra.grants import Access

DELIVERIES_MAX = 5
_FOURTEEN_DAYS, _SEVEN_DAYS = "1209600s", "604800s"


def build(scope: Scope, ground: Ground[GcpFoundation]) -> Bus:
    topic, dead = _topic(scope, ground, "events"), _topic(scope, ground, "dead-letters")
    kept = gcp.pubsub.Subscription(
        scope.name("dead-letters"),
        topic=dead.id,
        message_retention_duration=_SEVEN_DAYS,
        expiration_policy={"ttl": ""},  # never: a quiet month must not delete it
        opts=scope.own(),
    )
    may_bury = gcp.pubsub.TopicIAMMember(
        scope.name("dead-letters"),
        topic=dead.id,
        role="roles/pubsub.publisher",
        member=ground.foundation.pubsub_agent,
        opts=scope.own(),
    )
    queue = _queue(scope, ground, topic, dead, may_bury)
    return Bus(
        kind="pubsub",
        topic=topic.id,
        queue=queue.id,
        dead_letters=kept.id,
        topic_id=topic.name,
        queue_id=queue.name,
        alarmed_by=kept.name,
    )


def words(scope: Scope, reach: Reach[GcpFoundation], label: str, member: Input[str], what: Access) -> None:
    name, opts, bus = scope.name(label), scope.own(), reach.stores.bus
    match what:
        case Access.BUS_READ:
            role = "roles/pubsub.subscriber"
            gcp.pubsub.SubscriptionIAMMember(name, subscription=bus.queue_id, role=role, member=member, opts=opts)
        case Access.BUS_PUBLISH:
            role = "roles/pubsub.publisher"
            gcp.pubsub.TopicIAMMember(name, topic=bus.topic_id, role=role, member=member, opts=opts)


def _topic(scope: Scope, ground: Ground[GcpFoundation], label: str) -> gcp.pubsub.Topic:
    return gcp.pubsub.Topic(
        scope.name(label),
        kms_key_name=ground.keys.data,
        message_retention_duration=None if scope.settings.is_small else _FOURTEEN_DAYS,
        message_storage_policy={"allowed_persistence_regions": [scope.settings.region]},
        opts=scope.own(depends_on=ground.keys.ready),
    )


def _queue(
    scope: Scope,
    ground: Ground[GcpFoundation],
    topic: gcp.pubsub.Topic,
    dead: gcp.pubsub.Topic,
    may_bury: Resource,
) -> gcp.pubsub.Subscription:
    queue = gcp.pubsub.Subscription(
        scope.name("events"),
        topic=topic.id,
        ack_deadline_seconds=60,
        message_retention_duration=_SEVEN_DAYS,
        expiration_policy={"ttl": ""},
        retry_policy={"minimum_backoff": "10s", "maximum_backoff": "600s"},
        dead_letter_policy={"dead_letter_topic": dead.id, "max_delivery_attempts": DELIVERIES_MAX},
        opts=scope.own(depends_on=[may_bury]),
    )
    gcp.pubsub.SubscriptionIAMMember(  # Pub/Sub takes the message off this queue before it buries it
        scope.name("events"),
        subscription=queue.id,
        role="roles/pubsub.subscriber",
        member=ground.foundation.pubsub_agent,
        opts=scope.own(),
    )
    return queue
