"""The Google Cloud checks against recorded answers; objects go to a folder, through the same code."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from infra.catalogue import CATALOGUE
from infra.checks import Outcome, Verdict
from infra.contract import Contract
from infra.smoke.run import smoke
from tests.infra.servers import Route, cloud, says
from tests.planned import Plans

ANSWERS = json.loads(Path(__file__).with_name("gcp_answers.json").read_text())
PROJECT = "projects/example-prod"


@pytest.fixture
def contract(plans: Plans, tmp_path: Path) -> Contract:
    """The planned contract of prod with the names of the recorded answers."""
    raw = json.loads(json.dumps(plans["gcp", "prod"].contract))
    raw["network"]["id"] = f"{PROJECT}/global/networks/network"
    raw["keys"]["data"] = f"{PROJECT}/locations/us-central1/keyRings/r/cryptoKeys/data"
    raw["cluster"]["name"] = "cluster"
    raw["database"]["host"] = "10.0.0.5"
    raw["bus"] |= {"topic": f"{PROJECT}/topics/events", "queue": f"{PROJECT}/subscriptions/events"}
    raw["registry"]["url"] = "us-central1-docker.pkg.dev/example-prod/images"
    raw["secrets"]["connectors"] = {"zendesk": f"{PROJECT}/secrets/zendesk"}
    raw["edge"]["hostname"] = "localhost"
    raw["observability"]["logs"] = f"{PROJECT}/locations/us-central1/buckets/logs"
    raw["observability"]["alerts"] = f"{PROJECT}/notificationChannels/1"
    contract = Contract.model_validate(raw)
    objects = contract.objects.model_copy(update={"documents": f"file://{tmp_path}"})
    return contract.model_copy(update={"objects": objects})


class PubSub:
    """Pub/Sub as REST, with someone else's message waiting."""

    def __init__(self) -> None:
        self.waiting = [base64.b64encode(b"someone else's").decode()]
        self.acknowledged: list[str] = []
        self.returned: list[str] = []

    def routes(self) -> dict[str, Route]:
        return {
            r"POST /pubsub/v1/.*:publish": self.publish,
            r"POST /pubsub/v1/.*:pull": self.pull,
            r"POST /pubsub/v1/.*:acknowledge": self.acknowledge,
            r"POST /pubsub/v1/.*:modifyAckDeadline": self.give_back,
        }

    def publish(self, body: str) -> Any:
        self.waiting += [m["data"] for m in json.loads(body)["messages"]]
        return 200, {}, {"messageIds": ["1"]}

    def pull(self, _: str) -> Any:
        rows = [{"ackId": f"ack-{i}", "message": {"data": data}} for i, data in enumerate(self.waiting)]
        return 200, {}, {"receivedMessages": rows}

    def acknowledge(self, body: str) -> Any:
        self.acknowledged += json.loads(body)["ackIds"]
        return 200, {}, {}

    def give_back(self, body: str) -> Any:
        self.returned += json.loads(body)["ackIds"]
        return 200, {}, {}


def outcomes(contract: Contract, pubsub: PubSub, **changed: Any) -> dict[str, Outcome]:
    """`changed` answers otherwise by name; None: the cloud has no such thing."""
    told = {a["path"]: changed.get(a["name"], a["body"]) for a in ANSWERS}
    answers = {f"GET {path}": says(body) for path, body in told.items() if body is not None}
    with cloud({**answers, **pubsub.routes()}) as google:
        reach = {"automatic_cleanup": False}  # any setting of a folder: it keeps the check from asking Google
        found = smoke(contract, base=google.url + "/{api}", objects=reach, token=lambda: "any")
    return {o.name: o for o in found}


def test_a_deployed_stack_passes_every_check(contract: Contract) -> None:
    """Every capability that the catalogue does not excuse, each with a fact from the recorded answers."""
    found = outcomes(contract, PubSub())
    assert {name: o.fact for name, o in found.items() if o.verdict is not Verdict.OK} == {}
    assert set(found) == {c.name for c in CATALOGUE if not {"*", "gcp"} & set(c.unchecked)}


def test_models_that_no_policy_limits_are_named(contract: Contract) -> None:
    """The switch is off by default: an absent policy is a fact, not a fault."""
    found = outcomes(contract, PubSub(), policy=None)["models"]
    assert (found.verdict, "organisation_policy is off" in found.fact) == (Verdict.OK, True)


def test_messages_of_others_are_given_back(contract: Contract) -> None:
    """Only our own message is acknowledged."""
    pubsub = PubSub()
    assert outcomes(contract, pubsub)["bus"].verdict is Verdict.OK
    assert (pubsub.acknowledged, pubsub.returned) == (["ack-1"], ["ack-0"])


@pytest.mark.parametrize(
    ("answer", "body", "check", "verdict", "words"),
    [
        ("key", {"name": "data"}, "keys", Verdict.MISSING, "does not rotate"),
        ("clusters", {"clusters": [{"name": "cluster", "status": "ERROR"}]}, "cluster", Verdict.MISSING, "is ERROR"),
        ("instances", {"items": []}, "database", Verdict.MISSING, "is missing"),
        ("repository", {"name": "images"}, "registry", Verdict.MISSING, "can be overwritten"),
        ("versions", {}, "secrets", Verdict.WARNING, "No value yet for zendesk"),
        ("policy", {"spec": {"rules": []}}, "models", Verdict.MISSING, "Not allowed: gemini-3.1-flash-lite"),
    ],
)
def test_what_is_wrong_is_named(
    contract: Contract, answer: str, body: dict[str, Any], check: str, verdict: Verdict, words: str
) -> None:
    """One answer changed, one check fails, with the fact in words."""
    found = outcomes(contract, PubSub(), **{answer: body})
    assert found[check].verdict is verdict
    assert words in found[check].fact
    assert sum(o.verdict is not Verdict.OK for o in found.values()) == 1
