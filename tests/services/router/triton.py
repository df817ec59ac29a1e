"""
tritonclient as a program: one question on stdin, what it understood of the answer on stdout.

A process of its own, because tritonclient's and kserve's messages bear the same names and protobuf keeps one of each.
"""

import json
import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http


def main() -> None:
    asked = json.load(sys.stdin)
    api = {"http": tritonclient.http, "grpc": tritonclient.grpc}[asked["transport"]]
    client = api.InferenceServerClient(asked["address"])
    print(json.dumps(metadata(client, asked["transport"]) | infer(api, client, asked)))
    client.close()


def metadata(client, transport: str) -> dict:
    flags = {"as_json": True} if transport == "grpc" else {}
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready() and client.is_model_ready("router"),
        "server": client.get_server_metadata(**flags),
        "model": client.get_model_metadata("router", **flags),
    }


def infer(api, client, asked: dict) -> dict:
    texts = np.array(asked["texts"], dtype=np.object_)
    tensor = api.InferInput("text", list(texts.shape), "BYTES")
    http = asked["transport"] == "http"
    tensor.set_data_from_numpy(texts, **({"binary_data": asked["binary"]} if http else {}))
    wanted = None
    if asked["outputs"] is not None:
        flags = {"binary_data": asked["binary"]} if http else {}
        wanted = [api.InferRequestedOutput(name, **flags) for name in asked["outputs"]]
    version = asked.get("version", "")
    answer = client.infer("router", [tensor], model_version=version, outputs=wanted, request_id="t1")
    body = answer.get_response(as_json=True) if not http else answer.get_response()
    values = {output["name"]: plain(answer.as_numpy(output["name"])) for output in body["outputs"]}
    return {"outputs": values, "id": body["id"], "model_version": body.get("model_version", body.get("modelVersion"))}


def plain(array: np.ndarray) -> list:
    flat = array.ravel().tolist()
    return [value.decode() if isinstance(value, bytes) else value for value in flat]


if __name__ == "__main__":
    main()
