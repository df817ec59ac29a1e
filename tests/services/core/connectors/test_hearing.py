"""The one door and the one ear on a made-up system that signs method, address and body and bundles its events."""

from typing import Any

import pytest

from services.core.connectors import lenient
from services.core.connectors.door import Call, Shared, Signed
from services.core.connectors.hearing import Told
from services.core.connectors.port import Can, Connector
from services.core.connectors.settings import ConnectorSettings
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.kit.errors import ConfigurationInvalid, PayloadInvalid
from tests.services.core.connectors.conformance import BOTH, NOW, SECRET, Sender
from tests.services.core.connectors.inbound import Inbound

KINDS = {"ticket.creation": DeliveryKind.CREATED, "ticket.propertyChange": DeliveryKind.UPDATED} | {
    "ticket.deletion": DeliveryKind.DELETED
}


class Bundling(Connector):
    """As some customer platforms are: thin events, many in a call, an attempt counted inside the event."""

    name = "bundling"
    system = "Bundling"
    can = Can(0)
    door: Any = Signed(
        signature_header="x-signature-v3",
        content="{method}{url}{body}{timestamp}",
        form="base64",
        timestamp_header="x-request-timestamp",
        timestamp_form="ms",
    )

    def events(self, call: Call) -> list[Any]:
        return lenient.read_objects(call.body, system=self.name)

    def understand(self, event: Any, call: Call) -> Told:
        event = lenient.as_object(event, system=self.name)
        return Told(
            kind=KINDS.get(lenient.text(event.get("subscriptionType")), DeliveryKind.IGNORED),
            external_id=lenient.external_id(event.get("objectId"), where="objectId"),
            key=lenient.optional_id(event.get("eventId")),
            occurred_at=lenient.time(event.get("occurredAt")),
        )


class Tokened(Bundling):
    name = "tokened"
    door = Shared(header="x-token")


class Basic(Bundling):
    name = "basic"
    door = Shared(is_basic=True)


class HexSigned(Bundling):
    name = "hexsigned"
    door = Signed(signature_header="x-hub-signature", prefix="sha256=")


def event(kind: DeliveryKind, fields: Any) -> dict[str, Any]:
    names = {kind: name for name, kind in KINDS.items()}
    return {
        "eventId": f"{kind}-{fields['id']}", "subscriptionType": names[kind], "objectId": fields["id"],
        "occurredAt": 1760000000, "attemptNumber": 0, **({"x": 1} if "invented_next_year" in fields else {}),
    }  # fmt: skip


def sender(connector: type[Bundling]) -> Sender:
    settings = ConnectorSettings(secrets=BOTH)
    return Sender(connector(settings), event, frozenset(KINDS.values()), is_thin=True, bundle=list)


class TestBundling(Inbound):
    sender = sender(Bundling)


class TestTokened(Inbound):
    sender = sender(Tokened)


class TestBasic(Inbound):
    sender = sender(Basic)


class TestHexSigned(Inbound):
    sender = sender(HexSigned)


def test_the_address_is_the_one_the_system_calls() -> None:
    """Behind a proxy another one reaches us; the configured one is what was signed."""
    settings = ConnectorSettings(secrets=BOTH, hook_url="https://pointsman.example.com/hooks/bundling")
    signed = Call({}, b"[]", "POST", "https://pointsman.example.com/hooks/bundling?a=1")
    headers = Bundling.door.sign(SECRET, signed, delivery_id="", now=NOW)
    Bundling(settings).verify(Call(headers, b"[]", "POST", "http://10.0.0.7:8080/hooks/bundling?a=1"), now=NOW)


def test_an_attempt_counted_inside_the_event_makes_no_other_delivery() -> None:
    """The key is what is signed, less what changes between attempts."""
    bodies = [f'[{{"eventId": 7, "subscriptionType": "ticket.creation", "objectId": 1, "attemptNumber": {n}}}]'
              for n in range(3)]  # fmt: skip
    heard = [one for body in bodies for one in Bundling(ConnectorSettings()).parse(Call({}, body.encode()))]
    assert len({one.delivery_id for one in heard if isinstance(one, Delivery)}) == 1


def test_a_flood_in_one_call_is_refused() -> None:
    """A thousand events at once are not a ticketing system."""
    with pytest.raises(PayloadInvalid, match="at most 1000"):
        Bundling(ConnectorSettings()).parse(Call({}, b"[" + b"{}," * 1000 + b"{}]"))


@pytest.mark.parametrize(
    "given",
    [
        {"content": "{body}{secret}"},
        {"content": "{body}", "timestamp_header": "x-time"},
        {"content": "{timestamp}{body}"},
        {"content": "{id}{body}"},
    ],
)
def test_a_door_that_proves_less_than_it_says_cannot_be_built(given: Any) -> None:
    """A time that is not signed could be set by anybody."""
    with pytest.raises(ConfigurationInvalid):
        Signed(signature_header="x-signature", **given)
