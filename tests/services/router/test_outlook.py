"""What the heads say, through the router's doors; a client and a router of different versions understand each other."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from services.core.contracts.facts import Facts
from services.core.models.bundle import load_bundle
from services.core.models.client import RouterClient
from tests.services.router.conftest import Router, start
from tests.services.router.test_server import INFER, grpc_request, request
from tests.services.trainer.bundles import heads_bundle

PHONE = Facts(opened_at=datetime(2026, 1, 5, tzinfo=UTC), categories={"channel": "phone"})


@pytest.fixture(scope="module")
def foreseeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    log = tmp_path_factory.mktemp("router") / "log"
    process, router = start(log, "--model-dir", str(heads_bundle()))
    yield router
    process.terminate()
    process.wait(60)


async def test_a_client_who_tells_what_is_known_gets_an_outlook(foreseeing: Router) -> None:
    async with httpx.AsyncClient() as http:
        client = RouterClient(foreseeing.http, http)
        asked, _ = await client.predict("vpn wifi", facts=PHONE)
        unasked, _ = await client.predict("vpn wifi")
    expected = load_bundle(heads_bundle()).infer(["vpn wifi"], [PHONE]).predictions[0].outlook
    assert expected is not None
    assert asked.outlook is not None
    assert asked.outlook.hours == expected.hours
    assert asked.outlook.breach == pytest.approx(expected.breach, abs=1e-4)
    assert unasked.outlook is None


async def test_a_router_without_heads_answers_all_the_same(router: Router) -> None:
    """As one of an older version does, which does not know the parameter."""
    async with httpx.AsyncClient() as http:
        prediction, _ = await RouterClient(router.http, http).predict("vpn wifi", facts=PHONE)
    assert prediction.outlook is None


def test_a_client_of_a_newer_version_is_understood(foreseeing: Router) -> None:
    """What this router does not know of a ticket is left aside."""
    told = json.dumps([{"categories": {"channel": "phone"}, "mood": "angry"}, None])
    answer = httpx.post(foreseeing.http + INFER, json=request(["vpn", "wifi"], parameters={"facts": told})).json()
    said = next(output["data"] for output in answer["outputs"] if output["name"] == "outlook")
    assert json.loads(said[0])["hours"]["middle"] < 10
    assert said[1] == ""


@pytest.mark.parametrize("told", ["[]", "[{}, {}]", "{", '[{"queue": -1}]', 7])
def test_facts_of_another_shape_are_refused(foreseeing: Router, told: object) -> None:
    response = httpx.post(foreseeing.http + INFER, json=request(["vpn"], parameters={"facts": told}))
    assert response.status_code == 400
    assert "facts" in response.json()["error"]


def test_grpc_gives_the_outlook_too(foreseeing: Router) -> None:
    question = grpc_request(["vpn"])
    question.parameters["facts"].CopyFrom(pb.InferParameter(string_param="[{}]"))
    with grpc.insecure_channel(foreseeing.grpc) as channel:
        answer = GRPCInferenceServiceStub(channel).ModelInfer(question)
    names = [output.name for output in answer.outputs]
    assert names == ["label", "probability", "confidence", "similarity", "band", "reason", "outlook"]
