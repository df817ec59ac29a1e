"""
Bodies of protocol v2 over REST: JSON, and JSON followed by the tensors' bytes (extension `binary_tensor_data`).

What a body is, its own header `Inference-Header-Content-Length` says: tritonclient sends JSON without a content type.
"""

import orjson
from fastapi import Response
from kserve.errors import InvalidInput
from kserve.protocol.infer_type import InferInput, InferRequest, InferResponse, RequestedOutput
from pydantic import BaseModel, ConfigDict, ValidationError

BODY_MAX_BYTES = 8 * 1024 * 1024  # 256 texts of 32 kB
LENGTH_HEADER = "Inference-Header-Content-Length"


class _Output(BaseModel):
    model_config = ConfigDict(strict=True)

    name: str
    parameters: dict[str, str | int | float | bool] | None = None


class _Input(_Output):
    shape: list[int]
    datatype: str
    data: list | None = None


class _Request(BaseModel):
    model_config = ConfigDict(strict=True)

    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, str | int | float | bool] | None = None
    outputs: list[_Output] | None = None


def decode_request(body: bytes, json_length: str | None, model_name: str, version: str | None) -> InferRequest:
    """
    Raises:
        InvalidInput: what does not parse or does not fit, naming where; never repeating the text.
    """
    end = _head_end(json_length, len(body))
    try:
        asked = _Request.model_validate_json(body[:end])
    except ValidationError as exc:
        problem = exc.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "body"
        raise InvalidInput(f"Not an inference request of protocol v2: {where}: {problem['msg']}.") from None
    outputs = [RequestedOutput(output.name, output.parameters) for output in asked.outputs or ()]
    return InferRequest(
        model_name,
        _read_inputs(asked.inputs, body[end:]),
        asked.id,
        parameters=asked.parameters,
        request_outputs=outputs or None,
        model_version=version,
    )


def encode_response(answer: InferResponse) -> Response:
    """JSON, or JSON and bytes where any output was asked for so."""
    found, json_length = answer.to_rest()
    if json_length is not None:
        return Response(found, media_type="application/octet-stream", headers={LENGTH_HEADER: str(json_length)})
    return Response(orjson.dumps(found), media_type="application/json")


def _head_end(json_length: str | None, total: int) -> int:
    if json_length is None:
        return total
    if not (json_length.isascii() and json_length.isdigit() and int(json_length) <= total):
        raise InvalidInput(f"{LENGTH_HEADER} must be the number of bytes of JSON, at most {total} here.")
    return int(json_length)


def _read_inputs(asked: list[_Input], raw: bytes) -> list[InferInput]:
    inputs, start = [], 0
    for tensor in asked:
        found = InferInput(tensor.name, tensor.shape, tensor.datatype, tensor.data or [])
        if tensor.data is None:
            size = _binary_size(tensor, len(raw) - start)
            found._raw_data = raw[start : start + size]
            start += size
        inputs.append(found)
    if start != len(raw):
        raise InvalidInput(f"The inputs' binary_data_size add up to {start}, but {len(raw)} bytes follow the JSON.")
    return inputs


def _binary_size(tensor: _Input, left: int) -> int:
    size = (tensor.parameters or {}).get("binary_data_size")
    if size is None:
        raise InvalidInput(f"Input '{tensor.name[:50]}' has neither data nor the parameter binary_data_size.")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= left:
        raise InvalidInput(f"binary_data_size of '{tensor.name[:50]}' must be 0 to {left}: so many bytes are left.")
    return size
