"""Clients not ours speak to the running router: kserve's and tritonclient's, REST and gRPC, binary and JSON."""

import importlib.metadata
import json
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import InferResponse, RequestedOutput

from services.core.contracts.prediction import Prediction
from services.core.models.bundle import load_bundle
from tests.services.router.conftest import Router
from tests.services.trainer.bundles import made_up_tickets, small_bundle

TEXTS = [row.text for row in made_up_tickets(5, seed=11, rare=0)] + ["Müller's Zugang 🔑 ist weg"]
NAMES = ["label", "probability", "confidence", "similarity", "band", "reason"]
CLIENT_S = 120  # starting tritonclient on a busy machine


@pytest.fixture(scope="module")
def expected() -> list[Prediction]:
    return load_bundle(small_bundle()).predict(TEXTS)


def check(found: dict[str, list], expected: list[Prediction]) -> None:
    assert found["label"][::3] == [row.group for row in expected]
    assert found["band"] == [row.band.value for row in expected]
    assert found["reason"] == [row.reason for row in expected]
    np.testing.assert_allclose(found["confidence"], [row.confidence for row in expected], atol=1e-5)
    np.testing.assert_allclose(found["probability"][::3], [row.top[0].probability for row in expected], atol=1e-5)


def triton(router: Router, transport: str, **asked: Any) -> dict[str, Any]:
    address = router.grpc if transport == "grpc" else router.http.removeprefix("http://")
    question = {"transport": transport, "address": address, "texts": TEXTS, "outputs": NAMES, "binary": True} | asked
    command = [sys.executable, "-m", "tests.services.router.triton"]
    ran = subprocess.run(
        command, input=json.dumps(question), capture_output=True, text=True, timeout=CLIENT_S, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("outputs", [NAMES, None], ids=["named", "all"])
@pytest.mark.parametrize(("transport", "binary"), [("http", True), ("http", False), ("grpc", True)])
def test_tritonclient_reads_every_output(
    router: Router, expected: list[Prediction], transport: str, binary: bool, outputs: list[str] | None
):
    """Text and numbers arrive whole, as bytes after the JSON, inside it, or as gRPC's raw contents."""
    answer = triton(router, transport, binary=binary, outputs=outputs)
    check(answer["outputs"], expected)
    assert set(answer["outputs"]) == set(NAMES)
    assert (answer["id"], answer["model_version"]) == ("t1", expected[0].model_version)


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_metadata_says_what_is_served(router: Router, expected: list[Prediction], transport: str):
    """Our name and version, the extensions that work and no other, and the version that answers, which may be named."""
    version = expected[0].model_version
    answer = triton(router, transport, version=version, outputs=["embedding"])
    assert answer["live"]
    assert answer["ready"]
    assert answer["server"] == {
        "name": "pointsman-router",
        "version": importlib.metadata.version("pointsman"),
        "extensions": ["binary_tensor_data"],
    }
    assert answer["model"]["versions"] == [version]
    assert len(answer["outputs"]["embedding"]) == len(TEXTS) * 384


@pytest.fixture
async def rest() -> AsyncIterator[InferenceRESTClient]:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    yield client
    await client.close()


def ask(*, binary: bool, outputs_binary: bool | None) -> InferRequest:
    """A request of kserve's client; `outputs_binary` None asks for binary outputs by the request's own parameter."""
    tensor = InferInput("text", [len(TEXTS)], "BYTES")
    tensor.set_data_from_numpy(np.array(TEXTS, dtype=np.object_), binary_data=binary)
    if outputs_binary is None:
        return InferRequest("router", [tensor], "k1", parameters={"binary_data_output": True})
    wanted = [RequestedOutput(name, {"binary_data": outputs_binary}) for name in NAMES]
    return InferRequest("router", [tensor], "k1", request_outputs=wanted)


def values(answer: InferResponse) -> dict[str, list]:
    found = {output.name: output.as_numpy().ravel().tolist() for output in answer.outputs}
    return {name: [v.decode() if isinstance(v, bytes) else v for v in row] for name, row in found.items()}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("outputs_binary", [True, False, None])
async def test_kserve_rest_client_reads_every_output(
    router: Router, rest: InferenceRESTClient, expected: list[Prediction], binary: bool, outputs_binary: bool | None
):
    answer = await rest.infer(router.http, ask(binary=binary, outputs_binary=outputs_binary), model_name="router")
    assert isinstance(answer, InferResponse)
    check(values(answer), expected)
    assert await rest.is_server_ready(router.http)
    assert await rest.is_model_ready(router.http, "router")


@pytest.mark.parametrize("binary", [True, False])
async def test_kserve_grpc_client_reads_every_output(router: Router, expected: list[Prediction], binary: bool):
    async with InferenceGRPCClient(router.grpc) as client:
        answer = await client.infer(ask(binary=binary, outputs_binary=binary))
        assert await client.is_server_ready()
        assert await client.is_model_ready("router")
    check(values(answer), expected)
    assert answer.model_version == expected[0].model_version


def binary_body(texts: list[str], *, size: int | None = None, **head: Any) -> tuple[bytes, dict[str, str]]:
    raw = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    parameters = {"binary_data_size": len(raw) if size is None else size}
    tensor = {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "parameters": parameters}
    line = json.dumps({"inputs": [tensor], **head}).encode()
    return line + raw, {"Inference-Header-Content-Length": str(len(line))}


def test_outputs_may_be_binary_and_json_beside_each_other(router: Router, expected: list[Prediction]):
    """`binary_data_output` is the default of all outputs, an output's own `binary_data` goes before it."""
    outputs = [{"name": "confidence"}, {"name": "band", "parameters": {"binary_data": False}}]
    body, headers = binary_body(TEXTS, parameters={"binary_data_output": True}, outputs=outputs)
    response = httpx.post(router.http + "/v2/models/router/infer", content=body, headers=headers)
    assert response.status_code == 200, response.text
    length = int(response.headers["Inference-Header-Content-Length"])
    confidence, band = json.loads(response.content[:length])["outputs"]
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert band["data"] == [row.band.value for row in expected]
    assert confidence["parameters"] == {"binary_data_size": 4 * len(TEXTS)}
    found = np.frombuffer(response.content[length:], "<f4")
    np.testing.assert_allclose(found, [row.confidence for row in expected], atol=1e-5)


@pytest.mark.parametrize("kind", [None, "text/plain", "application/octet-stream"])
def test_json_needs_no_content_type(router: Router, kind: str | None):
    """Triton's client sends none; the body says what it is."""
    body = json.dumps({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["vpn"]}]}).encode()
    headers = {"Content-Type": kind} if kind else {}
    response = httpx.post(router.http + "/v2/models/router/infer", content=body, headers=headers)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("size", "length", "says"),
    [
        (-1, None, "binary_data_size"),
        (4, None, "binary_data_size"),
        (10_000, None, "binary_data_size"),
        (None, "x", "Inference-Header-Content-Length"),
        (None, "-5", "Inference-Header-Content-Length"),
        (None, "99999", "Inference-Header-Content-Length"),
    ],
)
def test_binary_that_does_not_fit_is_explained(router: Router, size: int | None, length: str | None, says: str):
    body, headers = binary_body(["canary-51b"], size=size)
    headers |= {"Inference-Header-Content-Length": length} if length else {}
    response = httpx.post(router.http + "/v2/models/router/infer", content=body, headers=headers)
    assert response.status_code == 400, response.text
    assert says in response.json()["error"]
    assert "canary" not in response.text


def test_texts_whose_lengths_lie_are_explained(router: Router):
    """A prefix that promises more bytes than there are is the sender's fault, on both transports."""
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}}
    line = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(line))}
    body = line + struct.pack("<I", 4_000_000_000) + b"ab"
    response = httpx.post(router.http + "/v2/models/router/infer", content=body, headers=headers)
    assert response.status_code == 400, response.text
    assert "does not fill its shape" in response.json()["error"]


@pytest.mark.parametrize("shape", [[1, 2], [2, 1], [1, 1, 2], [], [-1]])
def test_shape_is_the_declared_one(router: Router, shape: list[int]):
    """`[-1]` is declared: one dimension, as long as there are texts."""
    body = {"inputs": [{"name": "text", "shape": shape, "datatype": "BYTES", "data": ["a", "b"]}]}
    response = httpx.post(router.http + "/v2/models/router/infer", json=body)
    assert response.status_code == 400
    assert "[2]" in response.json()["error"]


def test_version_that_is_not_served_is_not_found(router: Router, expected: list[Prediction]):
    """Answers come from the version asked for or not at all."""
    base, body = (
        f"{router.http}/v2/models/router",
        {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["vpn"]}]},
    )
    served = f"{base}/versions/{expected[0].model_version}"
    assert httpx.post(f"{served}/infer", json=body).status_code == 200
    assert httpx.get(f"{served}/ready").json()["ready"]
    assert httpx.get(served).json()["versions"] == [expected[0].model_version]
    other = f"{base}/versions/19990101-1"
    for response in (httpx.post(f"{other}/infer", json=body), httpx.get(f"{other}/ready"), httpx.get(other)):
        assert response.status_code == 404
        assert expected[0].model_version in response.json()["error"]


def test_body_beyond_the_limit_is_refused_before_it_is_held(router: Router):
    """413, as gRPC refuses messages over 8 MiB."""
    response = httpx.post(router.http + "/v2/models/router/infer", content=b" " * (8 * 1024 * 1024 + 1), timeout=60)
    assert response.status_code == 413
    assert "8388608 bytes" in response.json()["error"]
