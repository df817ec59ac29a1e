"""From an address to the bus that stands there; what no bus of ours looks like is refused at the start."""

import re
from collections.abc import Callable

import httpx

from services.core.bus.port import Publisher
from services.core.bus.pubsub import PubSub
from services.core.bus.service_bus import ServiceBus
from services.core.bus.sink import Sink
from services.core.bus.sns import Sns
from services.core.kit.errors import ConfigurationInvalid

KINDS: dict[str, Callable[[str, httpx.AsyncClient], Publisher]] = {
    r"https?://[^/]+.*": Sink,
    r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+": lambda url, _: Sns(url),
    r"sb://[a-z0-9.-]+/[^/]+": ServiceBus,
    r"projects/[^/]+/topics/[^/]+": PubSub,
}


def build_publisher(url: str | None, http: httpx.AsyncClient) -> Publisher | None:
    """None where events are off; raises like `kind_of`."""
    return kind_of(url)(url, http) if url is not None else None


def kind_of(url: str) -> Callable[[str, httpx.AsyncClient], Publisher]:
    """
    What builds the publisher of this address.

    Raises:
        ConfigurationInvalid: the address is none that a bus of ours has.
    """
    for pattern, build in KINDS.items():
        if re.fullmatch(pattern, url):
            return build
    raise ConfigurationInvalid(
        f"POINTSMAN_EVENTS_URL is '{url}', which is no address of an event bus. Give the contract's bus.topic "
        "(arn:aws:sns:..., sb://namespace.servicebus.windows.net/events, projects/.../topics/...) or https://..."
    )
