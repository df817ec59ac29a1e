"""
Service Bus: a topic with one subscription, dead letters beside it, Entra only.

Premium is the one tier with private endpoints and a customer key, at 677 USD a month; Basic, for `small`, has queues
only, so there publisher and subscriber share one (design/adr/0053). Events hold ids and numbers, never ticket text.
"""

from pulumi import Input, Output
from pulumi_azure_native import servicebus as sb

from infra.azure import keys, private
from infra.azure.access import Role
from infra.azure.foundation import AzureFoundation
from infra.azure.observability import diagnose
from infra.capabilities import Bus, Ground, Reach, Scope
from infra.grants import Access

DELIVERIES_MAX = 5
_FOURTEEN_DAYS = "P14D"


def build(scope: Scope, ground: Ground[AzureFoundation]) -> Bus:
    namespace = _namespace(scope, ground)
    if scope.settings.is_small:
        return _queue_only(scope, ground, namespace)
    diagnose(scope, "bus", namespace.id, ground.observability.logs, ("allLogs",))
    topic = sb.Topic(
        scope.name("events"),
        resource_group_name=ground.foundation.group,
        namespace_name=namespace.name,
        topic_name="events",
        default_message_time_to_live=_FOURTEEN_DAYS,
        opts=scope.own(),
    )
    subscription = sb.Subscription(
        scope.name("events"),
        resource_group_name=ground.foundation.group,
        namespace_name=namespace.name,
        topic_name=topic.name,
        subscription_name="events",
        max_delivery_count=DELIVERIES_MAX,
        dead_lettering_on_message_expiration=True,
        opts=scope.own(),
    )
    address = _address(namespace, topic.name)
    queue = Output.concat(address, "/subscriptions/", subscription.name)
    return Bus(
        kind="servicebus",
        topic=address,
        queue=queue,
        dead_letters=Output.concat(queue, "/$deadletterqueue"),
        topic_id=topic.id,
        queue_id=subscription.id,
        alarmed_by=namespace.id,
    )


def words(reach: Reach[AzureFoundation], what: Access) -> list[tuple[Role, Input[str]]]:
    bus = reach.stores.bus
    return {
        Access.BUS_PUBLISH: [(Role.SERVICE_BUS_SENDER, bus.topic_id)],
        Access.BUS_READ: [(Role.SERVICE_BUS_RECEIVER, bus.queue_id)],
    }[what]


def _queue_only(scope: Scope, ground: Ground[AzureFoundation], namespace: sb.Namespace) -> Bus:
    queue = sb.Queue(
        scope.name("events"),
        resource_group_name=ground.foundation.group,
        namespace_name=namespace.name,
        queue_name="events",
        max_delivery_count=DELIVERIES_MAX,
        dead_lettering_on_message_expiration=True,
        opts=scope.own(),
    )
    address = _address(namespace, queue.name)
    return Bus(
        kind="servicebus",
        topic=address,
        queue=address,
        dead_letters=Output.concat(address, "/$deadletterqueue"),
        topic_id=queue.id,
        queue_id=queue.id,
        alarmed_by=namespace.id,
    )


def _namespace(scope: Scope, ground: Ground[AzureFoundation]) -> sb.Namespace:
    name, private_bus = scope.name("bus"), scope.settings.bus.private
    tier = sb.SkuName.PREMIUM if private_bus else sb.SkuName.BASIC if scope.settings.is_small else sb.SkuName.STANDARD
    own = _our_key(ground) if private_bus else {}
    namespace = sb.Namespace(
        name,
        resource_group_name=ground.foundation.group,
        sku=sb.SBSkuArgs(name=tier, tier=sb.SkuTier(tier.value), capacity=1 if private_bus else None),
        disable_local_auth=True,
        minimum_tls_version="1.2",
        public_network_access="Disabled" if private_bus else "Enabled",
        opts=scope.own(depends_on=ground.keys.ready),
        **own,
    )
    if private_bus:
        private.endpoint(scope, ground.foundation, ground.network, namespace, label="bus")
    return namespace


def _our_key(ground: Ground[AzureFoundation]) -> dict:
    vault, name = keys.parts(ground.keys)
    key = {
        "key_name": name,
        "key_vault_uri": vault,
        "identity": {"user_assigned_identity": ground.keys.holder},
    }
    return {
        "identity": {
            "type": sb.ManagedServiceIdentityType.USER_ASSIGNED,
            "user_assigned_identities": [ground.keys.holder],
        },
        "encryption": {"key_source": sb.KeySource.MICROSOFT_KEY_VAULT, "key_vault_properties": [key]},
    }


def _address(namespace: sb.Namespace, entity: Input[str]) -> Output[str]:
    return Output.concat("sb://", namespace.name, ".servicebus.windows.net/", entity)
