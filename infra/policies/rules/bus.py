"""BUS: what nobody can read is kept where a person finds it."""

from collections.abc import Iterator

from infra.policies.rules.base import Breach, Stack, is_set, is_true, must, rule


@rule("BUS-001", "messages that fail again and again go to the dead letters")
def dead_letters(stack: Stack) -> Iterator[Breach]:
    message = "A message that cannot be read would be lost or block the rest"
    queues = [r for r in stack.of("aws:sqs/queue:Queue") if not r.name.endswith("dead-letters")]
    yield from must(queues, "redrivePolicy", lambda v: "deadLetterTargetArn" in str(v), message)
    service_bus = stack.of("azure-native:servicebus:Queue", "azure-native:servicebus:Subscription")
    yield from must(service_bus, "deadLetteringOnMessageExpiration", is_true, message)
    yield from must(service_bus, "maxDeliveryCount", is_set, message)
    pubsub = [r for r in stack.of("gcp:pubsub/subscription:Subscription") if not r.name.endswith("dead-letters")]
    yield from must(pubsub, "deadLetterPolicy.deadLetterTopic", is_set, message)


_HEARD_BY = {
    "aws:sns/topic:Topic": "aws:sns/topicSubscription:TopicSubscription",
    "azure-native:servicebus:Topic": "azure-native:servicebus:Subscription",
    "gcp:pubsub/topic:Topic": "gcp:pubsub/subscription:Subscription",
}


@rule("BUS-002", "what is published reaches somebody")
def topics_are_heard(stack: Stack) -> Iterator[Breach]:
    """Clouds take a message that nobody subscribed to, and drop it. Alarms' topics may wait for an address."""
    for topic in stack.of(*_HEARD_BY):
        heard = any(topic.urn in r.depends_on for r in stack.of(_HEARD_BY[topic.type]))
        if topic.capability == "bus" and not heard:
            yield topic.urn, "Nobody is subscribed to it: what is published is taken and dropped"
