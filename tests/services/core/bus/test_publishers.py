"""Each bus over real HTTP: what arrives is the event to the letter, and what an answer means for it."""

import json
import threading
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import httpx
import pytest

from services.core.bus.build import build_publisher
from services.core.bus.pubsub import PubSub
from services.core.bus.service_bus import ServiceBus
from services.core.bus.sns import Sns
from services.core.contracts.events import Event
from services.core.kit.errors import BusClosed, ConfigurationInvalid, ConnectorRejected, ConnectorUnavailable

EVENT = Event(
    id="7:routed:41",
    source="pointsman/worker",
    type="pointsman.ticket.routed.v1",
    subject="7",
    time="2026-11-20T09:15:00Z",  # ty: ignore[invalid-argument-type]  # as JSON holds it
    data={"group": "Network & VPN", "band": "AUTO_ROUTE", "confidence": 0.93},
).model_dump(mode="json")


class Bus(ThreadingHTTPServer):
    """Answers with `status` and keeps path, headers and body."""

    status = 201
    extra: dict[str, str]
    received: list[tuple[str, dict[str, str], bytes]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Bus

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(self.server.status)
        for name, value in self.server.extra.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def bus() -> Iterator[Bus]:
    server = Bus(("127.0.0.1", 0), Handler)
    server.received, server.extra = [], {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


async def test_service_bus_gets_the_event_and_what_finds_repetitions(bus: Bus, http: httpx.AsyncClient) -> None:
    """The body is the CloudEvent; the broker's own properties carry its id and type."""
    url = "sb://acme-bus.servicebus.windows.net/events"
    await ServiceBus(url, http, api=bus.url, token=lambda: "a-token").publish(EVENT)
    ((path, headers, body),) = bus.received
    assert path == "/events/messages"
    assert json.loads(body) == EVENT
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["authorization"] == "Bearer a-token"
    assert json.loads(headers["brokerproperties"]) == {"MessageId": EVENT["id"], "Label": EVENT["type"]}


async def test_pubsub_gets_what_googles_own_message_type_reads(bus: Bus, http: httpx.AsyncClient) -> None:
    """The request parses into the published PublishRequest, which refuses fields it does not know."""
    from google.pubsub_v1.types import PublishRequest

    bus.status = 200
    await PubSub("projects/acme/topics/events", http, api=bus.url, token=lambda: "t").publish(EVENT)
    ((path, headers, body),) = bus.received
    assert path == "/v1/projects/acme/topics/events:publish"
    assert headers["authorization"] == "Bearer t"
    (message,) = PublishRequest.from_json(body.decode(), ignore_unknown_fields=False).messages
    assert json.loads(message.data) == EVENT
    assert dict(message.attributes) == {"content-type": "application/cloudevents+json", "type": EVENT["type"]}
    assert b64decode(json.loads(body)["messages"][0]["data"]) == message.data


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, ConnectorUnavailable),
        (500, ConnectorUnavailable),
        (503, ConnectorUnavailable),
        (401, BusClosed),
        (403, BusClosed),
        (404, BusClosed),
        (400, ConnectorRejected),
        (413, ConnectorRejected),
    ],
)
async def test_an_answer_says_whether_to_try_again(
    bus: Bus, http: httpx.AsyncClient, status: int, error: type[Exception]
) -> None:
    """Throttled waits; a grant that has not spread gets its eight tries; a message that is wrong has none."""
    bus.status, bus.extra = status, {"Retry-After": "7"}
    for publisher in (
        ServiceBus("sb://b.servicebus.windows.net/events", http, api=bus.url, token=lambda: "t"),
        PubSub("projects/p/topics/t", http, api=bus.url, token=lambda: "t"),
        build_publisher(f"{bus.url}/events", http),
    ):
        assert publisher is not None
        with pytest.raises(error) as caught:
            await publisher.publish(EVENT)
        if error is ConnectorUnavailable:
            assert caught.value.retry_after_s == 7  # ty: ignore[unresolved-attribute]


async def test_a_bus_that_is_away_is_waited_for(http: httpx.AsyncClient) -> None:
    """Nobody listens, or nobody gives out tokens."""
    gone = ServiceBus("sb://b.servicebus.windows.net/events", http, api="http://127.0.0.1:9", token=lambda: "t")
    with pytest.raises(ConnectorUnavailable):
        await gone.publish(EVENT)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """moto's server, where the SDK looks for AWS; yields its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    yield f"http://{host}:{port}"
    server.stop()


def client(service: str, url: str) -> Any:
    return boto3.client(service, region_name="eu-central-1", endpoint_url=url)


async def test_sns_hands_the_event_to_its_queue_and_filters_by_type(aws: str, http: httpx.AsyncClient) -> None:
    """Topic, subscription with raw delivery and queue as the stack makes them; another type is filtered out."""
    sns, sqs = client("sns", aws), client("sqs", aws)
    topic = sns.create_topic(Name="events")["TopicArn"]
    queue = sqs.create_queue(QueueName="events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    wanted = json.dumps({"type": [EVENT["type"]]})
    attributes = {"RawMessageDelivery": "true", "FilterPolicy": wanted}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    publisher = build_publisher(topic, http)
    assert isinstance(publisher, Sns)
    await publisher.publish(EVENT)
    await publisher.publish({**EVENT, "type": "pointsman.ticket.solved.v1"})
    got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    assert [json.loads(message["Body"]) for message in got] == [EVENT]


async def test_sns_without_the_topic_gets_its_tries(aws: str) -> None:
    """Made anew in the same `up`, or misspelt: eight tries, then a dead letter that names it."""
    with pytest.raises(BusClosed, match="NotFound"):
        await Sns("arn:aws:sns:eu-central-1:123456789012:nowhere").publish(EVENT)


async def test_sns_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch, aws: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ConnectorUnavailable):
        await Sns("arn:aws:sns:eu-central-1:123456789012:events").publish(EVENT)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("arn:aws:sns:eu-central-1:123456789012:pointsman-prod-events-1a2b3c4", "Sns"),
        ("sb://pointsman-prod-bus1a2b.servicebus.windows.net/events", "ServiceBus"),
        ("projects/acme/topics/pointsman-prod-events-1a2b3c4", "PubSub"),
        ("https://events.example.com/pointsman?key=1", "Sink"),
    ],
)
async def test_the_address_says_which_bus_it_is(url: str, kind: str, http: httpx.AsyncClient) -> None:
    """The forms in which a contract's `bus.topic` comes, and any HTTP endpoint."""
    assert type(build_publisher(url, http)).__name__ == kind


@pytest.mark.parametrize("url", ["", "kafka://broker/topic", "arn:aws:sqs:eu-central-1:123456789012:q", "sb://only"])
async def test_an_unknown_bus_is_refused_at_the_start(url: str, http: httpx.AsyncClient) -> None:
    """Not when the first event is due."""
    with pytest.raises(ConfigurationInvalid, match=r"POINTSMAN_EVENTS_URL.*bus\.topic"):
        build_publisher(url, http)


async def test_events_are_off_where_no_address_is_given(http: httpx.AsyncClient) -> None:
    assert build_publisher(None, http) is None


async def test_the_workloads_own_identity_opens_the_bus(
    bus: Bus, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Azure's and Google's metadata services are asked for the bus's audience, not for the database's."""
    asked: list[str] = []

    class Metadata(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = json.dumps({"access_token": f"token-{len(asked)}", "expires_in": 3600}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_port}")
    await ServiceBus("sb://b.servicebus.windows.net/events", http, api=bus.url).publish(EVENT)
    await PubSub("projects/p/topics/t", http, api=bus.url).publish(EVENT)
    server.shutdown()
    server.server_close()
    assert "resource=https%3A%2F%2Fservicebus.azure.net" in asked[0]
    assert "auth%2Fpubsub" in asked[1]
    assert [headers["authorization"] for _, headers, _ in bus.received] == ["Bearer token-1", "Bearer token-2"]
