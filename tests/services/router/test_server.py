"""Open Inference Protocol v2 over HTTP and gRPC, against the running router."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from services.core.models.bundle import load_bundle
from services.core.models.client import RouterClient, parse_response
from tests.services.router.conftest import Router
from tests.services.trainer.bundles import made_up_tickets, small_bundle

INFER = "/v2/models/router/infer"
TEXTS = [row.text for row in made_up_tickets(12, seed=7, rare=0)]
CANARY = "canary-7f3a9c-kennwort"


def request(texts: list[str], **more: object) -> dict:
    return {"inputs": [{"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": texts}], **more}


def text_input(**changes: object) -> dict:
    return {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [CANARY], **changes}]}


def test_answers_what_the_bundle_answers(router: Router):
    """Over HTTP come the predictions of the very model the trainer judged, id echoed, version named."""
    answer = httpx.post(router.http + INFER, json=request(TEXTS, id="42")).json()
    expected = load_bundle(small_bundle()).predict(TEXTS)
    found = [prediction for prediction, _ in parse_response(answer)]
    assert [p.group for p in found] == [p.group for p in expected]
    assert [p.band for p in found] == [p.band for p in expected]
    np.testing.assert_allclose([p.confidence for p in found], [p.confidence for p in expected], atol=1e-5)
    assert answer["id"] == "42"
    assert answer["model_version"] == answer["parameters"]["model_version"] == expected[0].model_version
    shapes = {output["name"]: (output["datatype"], output["shape"]) for output in answer["outputs"]}
    n = len(TEXTS)
    assert shapes == {
        "label": ("BYTES", [n, 3]),
        "probability": ("FP32", [n, 3]),
        "confidence": ("FP32", [n]),
        "similarity": ("FP32", [n]),
        "band": ("BYTES", [n]),
        "reason": ("BYTES", [n]),
    }


def test_outputs_are_chosen_by_name(router: Router):
    """The embedding comes only when asked for, and then alone if nothing else is."""
    answer = httpx.post(router.http + INFER, json=request(TEXTS[:2], outputs=[{"name": "embedding"}])).json()
    (output,) = answer["outputs"]
    assert (output["name"], output["shape"]) == ("embedding", [2, 384])
    vectors = np.array(output["data"]).reshape(2, 384)
    np.testing.assert_allclose(vectors, load_bundle(small_bundle()).embed(TEXTS[:2]), atol=1e-5)


async def test_client_translates_to_the_contract(router: Router):
    """The worker's client gives the contract's prediction, with and without the embedding."""
    async with httpx.AsyncClient() as http:
        client = RouterClient(router.http, http)
        prediction, nothing = await client.predict(TEXTS[0])
        same, vector = await client.predict(TEXTS[0], want_embedding=True)
    expected = load_bundle(small_bundle()).predict(TEXTS[:1])[0]
    assert nothing is None
    assert vector is not None
    assert len(vector) == 384
    assert (prediction.group, prediction.band, prediction.model_version) == (
        expected.group,
        expected.band,
        expected.model_version,
    )
    assert prediction.confidence == pytest.approx(expected.confidence, abs=1e-5)
    assert prediction.reason == expected.reason
    assert same == prediction


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "inputs"),
        ({"inputs": []}, "one input 'text'"),
        (text_input(name="texts"), "one input 'text'"),
        (text_input(datatype="FP32"), "must be BYTES"),
        (text_input(shape=[2]), "holds 1 texts"),
        (text_input(shape=[-1]), "holds 1 texts"),
        (text_input(shape=[]), "holds 1 texts"),
        (text_input(shape=[0], data=[]), "empty"),
        (text_input(data=[7]), "must be a string"),
        (text_input(data=[None]), "must be a string"),
        (request(["x"] * 257), "at most 256"),
        (text_input() | {"outputs": [{"name": "magic"}]}, "Unknown output 'magic'"),
    ],
)
def test_bad_requests_are_explained(router: Router, body: dict, says: str):
    """400 with `error`, naming the problem and never repeating the text."""
    response = httpx.post(router.http + INFER, json=body)
    assert response.status_code == 400
    assert says in response.json()["error"]
    assert CANARY not in response.text


@pytest.mark.parametrize("content", [b"", b"not json", b"[1]", b"\xff\xfe"])
def test_body_that_is_no_request_is_explained(router: Router, content: bytes):
    response = httpx.post(router.http + INFER, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]


def test_largest_request_and_longest_text_are_answered(router: Router):
    """256 texts pass; a text of a megabyte is cut, not refused."""
    assert (
        len(httpx.post(router.http + INFER, json=request(["vpn"] * 256), timeout=60).json()["outputs"][2]["data"])
        == 256
    )
    assert httpx.post(router.http + INFER, json=request(["vpn " * 262_144]), timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2", 200),
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v2/models/router", 200),
        ("GET", "/v2/models/router/ready", 200),
        ("GET", "/v2/models/other/ready", 404),
        ("POST", "/v2/repository/models/router/unload", 404),
        ("POST", "/v1/models/router:predict", 404),
        ("GET", "/docs", 404),
    ],
)
def test_what_is_offered_and_what_is_not(router: Router, method: str, path: str, status: int):
    """Protocol v2 is whole; kserve's unload, v1 and docs are not there for anyone to call."""
    assert httpx.request(method, router.http + path).status_code == status


def test_binary_tensors_are_understood(router: Router):
    """The protocol's binary extension: lengths and bytes after the JSON."""
    raw = TEXTS[0].encode()
    raw = struct.pack("<I", len(raw)) + raw
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    response = httpx.post(router.http + INFER, content=head + raw, headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["outputs"][0]["data"][0] == load_bundle(small_bundle()).predict(TEXTS[:1])[0].group


def grpc_request(texts: list[str], model: str = "router", datatype: str = "BYTES") -> pb.ModelInferRequest:
    contents = pb.InferTensorContents(bytes_contents=[text.encode() for text in texts])
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="text", datatype=datatype, shape=[len(texts)], contents=contents
    )
    return pb.ModelInferRequest(model_name=model, id="g1", inputs=[tensor])


def test_grpc_answers_as_rest_does(router: Router):
    with grpc.insecure_channel(router.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)
        assert stub.ServerReady(pb.ServerReadyRequest()).ready
        answer = stub.ModelInfer(grpc_request(TEXTS))
    rest = httpx.post(router.http + INFER, json=request(TEXTS)).json()
    labels = next(output for output in answer.outputs if output.name == "label")
    assert [value.decode() for value in labels.contents.bytes_contents] == rest["outputs"][0]["data"]
    assert answer.id == "g1"
    assert answer.model_version == rest["model_version"]


def test_grpc_refuses_with_the_right_codes(router: Router):
    with grpc.insecure_channel(router.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)
        for bad, code in (
            (grpc_request([]), grpc.StatusCode.INVALID_ARGUMENT),
            (grpc_request(["x"], datatype="FP32"), grpc.StatusCode.INVALID_ARGUMENT),
            (grpc_request(["x"], model="other"), grpc.StatusCode.NOT_FOUND),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelInfer(bad)
            assert caught.value.code() is code
        with pytest.raises(grpc.RpcError) as caught:
            stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="router"))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert stub.ModelReady(pb.ModelReadyRequest(name="router")).ready


def test_metrics_count_tickets_by_band(router: Router):
    def total() -> float:
        lines = httpx.get(router.http + "/metrics").text.splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("pointsman_router_tickets_total{")
        )

    before = total()
    httpx.post(router.http + INFER, json=request(TEXTS))
    assert total() == before + len(TEXTS)


def test_logs_are_json_without_ticket_text(router: Router):
    """Good and bad requests with a canary in them: every line parses, none holds it."""
    httpx.post(router.http + INFER, json=request([CANARY]))
    httpx.post(router.http + INFER, json=text_input(datatype="FP32"))
    httpx.post(router.http + INFER, content=CANARY.encode())
    with grpc.insecure_channel(router.grpc) as channel, pytest.raises(grpc.RpcError):
        GRPCInferenceServiceStub(channel).ModelInfer(grpc_request([CANARY], datatype="FP32"))
    lines = router.log.read_text().splitlines()
    assert all(json.loads(line)["event"] for line in lines)
    assert CANARY not in router.log.read_text()


def test_resident_memory_stays_small(router: Router):
    """Under load of the largest batches the process stays within its 300 MiB."""
    for _ in range(3):
        httpx.post(router.http + INFER, json=request([text * 20 for text in TEXTS] * 20), timeout=60)
    status = Path(f"/proc/{router.pid}/status").read_text()
    resident_mib = int(status.split("VmRSS:")[1].split()[0]) / 1024
    assert resident_mib < 300


def test_listens_on_this_machine_only(router: Router):
    """Bound to 127.0.0.1, where kserve's own server binds every address."""
    port = f"{int(router.http.rsplit(':', 1)[1]):04X}"
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    assert [address for address in listening if address.endswith(":" + port)] == [f"0100007F:{port}"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [((), "POINTSMAN_DATABASE_URL"), (("--model-dir", "/nonexistent"), "manifest.json")],
)
def test_start_without_a_model_is_explained(arguments: tuple[str, ...], says: str):
    command = [sys.executable, "-m", "services.router", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin"}, timeout=60, check=False)
    assert ran.returncode == 1
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
