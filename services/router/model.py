"""The KServe model `router`: load, preprocess, predict, postprocess; nothing else. Open Inference Protocol v2."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import chain
from typing import Any

from grpc import StatusCode
from grpc_interceptor.exceptions import GrpcException, ResourceExhausted
from kserve.errors import InvalidInput, ModelNotReady
from kserve.model import Model
from kserve.protocol.infer_type import (
    InferInput,
    InferOutput,
    InferRequest,
    InferResponse,
    RequestedOutput,
    deserialize_bytes_tensor,
)
from pydantic import TypeAdapter, ValidationError

from services.core.contracts.facts import Facts
from services.core.models.bundle import Inference, RouterModel
from services.router.batching import MicroBatcher, Overloaded

NAME = "router"
EMBEDDING = "embedding"
FACTS, OUTLOOK = "facts", "outlook"  # the parameter that asks for it, and the output of a model that has heads
ALWAYS = ("label", "probability", "confidence", "similarity", "band", "reason")
MANY_FACTS = TypeAdapter(list[Facts | None])
USAGE = 'Send one input {"name": "text", "shape": [n], "datatype": "BYTES", "data": ["...", ...]}.'


Asked = tuple[str, Facts | None]


class VersionUnknown(GrpcException):
    """Another version of the model is served than the one asked for."""

    status_code = StatusCode.NOT_FOUND
    status = HTTPStatus.NOT_FOUND


@dataclass(frozen=True)
class Question:
    """
    `wanted` are the outputs asked for, in order; `is_raw`: a gRPC answer goes as bytes, as its question came.

    `tickets`: each text with what else is known of it; None where no outlook is asked for.
    """

    id: str
    tickets: list[Asked]
    wanted: tuple[RequestedOutput, ...]
    is_raw: bool


@dataclass(frozen=True)
class Limits:
    batch_max: int = 32
    queue_max: int = 512
    request_max: int = 256


class RouterServing(Model):
    """
    The served model. `load` may be called again at any time: the next batch uses the new bundle.

    Args:
        loaded: called with each model that begins to serve.
    """

    def __init__(self, limits: Limits, *, observe: Callable[[Inference], None] = lambda found: None) -> None:
        super().__init__(NAME)
        self._limits = limits
        self._observe = observe
        self._model: RouterModel | None = None
        self.batcher = MicroBatcher(self._infer, batch_max=limits.batch_max, queue_max=limits.queue_max)

    @property
    def version(self) -> str | None:
        return self._model.version if self._model else None

    def check_version(self, wanted: str | None) -> None:
        """
        Raises:
            VersionUnknown: `wanted` names a version, and another one is served.
        """
        if wanted and wanted != self.version:
            raise VersionUnknown(details=f"Version '{wanted[:50]}' is not served; {self.version or 'none yet'} is.")

    def load(self, model: RouterModel | None = None) -> bool:
        """Takes `model` into service; kserve calls it bare to ask whether there is one."""
        if model is not None:
            model.infer(["warm up"])  # the first pass allocates; no ticket should wait for it
            self._model = model
        self.ready = self._model is not None
        return self.ready

    def start(self) -> None:
        """Nothing to do: kserve's default would call a server without a model ready."""

    async def preprocess(self, payload: Any, headers: Any = None) -> Any:
        if not isinstance(payload, InferRequest):
            raise InvalidInput(f"This server speaks the Open Inference Protocol v2. {USAGE}")
        if self._model is None:
            raise ModelNotReady(NAME, "No model is loaded yet; see /v2/health/ready.")
        self.check_version(payload.model_version)
        texts = read_texts(payload, self._limits.request_max)
        tickets = list(zip(texts, read_facts(payload, len(texts)), strict=True))
        return Question(payload.id or "", tickets, wanted_outputs(payload), payload.use_binary_outputs)

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        try:
            found = await self.batcher.submit(payload.tickets)
        except Overloaded as exc:
            raise ResourceExhausted(details=str(exc)) from exc
        self._observe(found)
        return build_response(payload, found)

    def get_input_types(self) -> list[dict]:
        return [{"name": "text", "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self) -> list[dict]:
        size = self._model.manifest.embedding_size if self._model else -1
        shapes = {"label": [-1, 3], "probability": [-1, 3], EMBEDDING: [-1, size]}
        return [
            {"name": name, "datatype": DATATYPES[name], "shape": shapes.get(name, [-1])}
            for name in (*ALWAYS, EMBEDDING)
        ]

    def _infer(self, tickets: Sequence[Asked]) -> Inference:
        assert self._model is not None  # preprocess has checked; a model is never taken away
        return self._model.infer([text for text, _ in tickets], [facts for _, facts in tickets])


DATATYPES = {
    "label": "BYTES", "probability": "FP32", "confidence": "FP32", "similarity": "FP32",
    "band": "BYTES", "reason": "BYTES", EMBEDDING: "FP32",
}  # fmt: skip


def read_texts(request: InferRequest, request_max: int) -> list[str]:
    """
    The texts of a request. A long text is not refused: the model reads its beginning.

    Raises:
        InvalidInput: wrong name, datatype, shape or count, naming which; never repeating the text.
    """
    if [tensor.name for tensor in request.inputs] != ["text"]:
        names = ", ".join(tensor.name for tensor in request.inputs) or "none"
        raise InvalidInput(f"Expected the one input 'text', got: {names[:200]}. {USAGE}")
    tensor = request.inputs[0]
    if tensor.datatype != "BYTES":
        raise InvalidInput(f"Input 'text' has datatype {tensor.datatype[:20]}; it must be BYTES. {USAGE}")
    values = _read_values(tensor)
    if not values:
        raise InvalidInput(f"Input 'text' is empty. {USAGE}")
    if tensor.shape != [len(values)]:
        raise InvalidInput(
            f"Input 'text' has shape {tensor.shape[:9]} but holds {len(values)} texts: send [{len(values)}]."
        )
    if len(values) > request_max:
        raise InvalidInput(f"{len(values)} texts in one request; at most {request_max}. Send several requests.")
    return [_as_text(value) for value in values]


def read_facts(request: InferRequest, rows: int) -> list[Facts | None]:
    """
    What is known of each text, from the request's parameter FACTS: a JSON list as long as the batch. A router that does
    not know the parameter ignores it, so clients and routers may be of different versions.

    Raises:
        InvalidInput: it is not that.
    """
    given = (request.parameters or {}).get(FACTS)
    given = getattr(given, "string_param", given)  # gRPC wraps it
    if given is None:
        return [None] * rows
    try:
        found = MANY_FACTS.validate_json(given)
    except (ValidationError, TypeError) as exc:
        raise InvalidInput(f"Parameter '{FACTS}' is not a JSON list of what is known of each text.") from exc
    if len(found) != rows:
        raise InvalidInput(f"Parameter '{FACTS}' tells of {len(found)} texts; the batch holds {rows}.")
    return found


def wanted_outputs(request: InferRequest) -> tuple[RequestedOutput, ...]:
    """The outputs asked for, or all but the embedding; each says whether it goes as bytes (REST)."""
    asked = request.request_outputs or [RequestedOutput(name) for name in ALWAYS]
    unknown = sorted({output.name for output in asked} - set(DATATYPES))
    if unknown:
        raise InvalidInput(f"Unknown output '{unknown[0][:50]}'. Known: {', '.join(DATATYPES)}.")
    default = bool(request.use_binary_outputs)
    return tuple(
        RequestedOutput(output.name, {"binary_data": default if output.binary_data is None else output.binary_data})
        for output in asked
    )


def build_response(question: Question, found: Inference) -> InferResponse:
    """OIP v2 response; groups beyond the model's own number are padded with '' and probability 0."""
    rows = found.predictions
    n = len(rows)
    tops = [(*row.top, *(None,) * (3 - len(row.top))) for row in rows]
    values: dict[str, list] = {
        "label": [scored.group if scored else "" for top in tops for scored in top],
        "probability": [scored.probability if scored else 0.0 for top in tops for scored in top],
        "confidence": [row.confidence for row in rows],
        "similarity": [row.similarity for row in rows],
        "band": [row.band.value for row in rows],
        "reason": [row.reason for row in rows],
    }
    names = {output.name for output in question.wanted}
    outputs = [
        InferOutput(name, [n, 3] if name in ("label", "probability") else [n], DATATYPES[name], data)
        for name, data in values.items()
        if name in names
    ]
    if any(row.outlook for row in rows):
        told = [row.outlook.model_dump_json(exclude_none=True) if row.outlook else "" for row in rows]
        outputs.append(InferOutput(OUTLOOK, [n], "BYTES", told))
        question = replace(question, wanted=(*question.wanted, RequestedOutput(OUTLOOK, {"binary_data": False})))
    if EMBEDDING in names:
        flat = list(chain.from_iterable(found.embeddings.tolist()))
        outputs.append(InferOutput(EMBEDDING, list(found.embeddings.shape), "FP32", flat))
    version = rows[0].model_version
    return InferResponse(
        question.id,
        NAME,
        outputs,
        model_version=version,
        parameters={"model_version": version},
        use_binary_outputs=question.is_raw,
        requested_outputs=list(question.wanted),
    )


def _read_values(tensor: InferInput) -> list:
    if not tensor._raw_data:
        return tensor.data if isinstance(tensor.data, list) else []
    try:
        return deserialize_bytes_tensor(tensor._raw_data).tolist()
    except struct.error as exc:
        raise InvalidInput(f"Input 'text' does not fill its shape {tensor.shape[:9]}. {USAGE}") from exc


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if not isinstance(value, str):
        raise InvalidInput(f"Input 'text' holds a {type(value).__name__}; every element must be a string. {USAGE}")
    return value
