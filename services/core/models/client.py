"""Asks the router over HTTP (Open Inference Protocol v2) and answers in our contract."""

import math
import time
from collections.abc import Sequence
from typing import Any

import httpx
from pydantic import TypeAdapter

from services.core.contracts.facts import Facts
from services.core.contracts.prediction import Band, Outlook, Prediction, ScoredGroup
from services.core.kit.batching import Batcher
from services.core.kit.errors import InputInvalid, RouterUnavailable

PATH = "/v2/models/router/infer"
OUTPUTS = ("label", "probability", "confidence", "similarity", "band", "reason")
MANY_FACTS = TypeAdapter(list[Facts | None])

AT_ONCE = 16  # texts of one request: the router computes batches of this size


class RouterClient:
    """State: the address, a shared connection pool, and texts that wait to be asked together. Of one event loop."""

    def __init__(self, base_url: str, client: httpx.AsyncClient, timeout_s: float = 5.0) -> None:
        self._url = base_url.rstrip("/") + PATH
        self._client = client
        self._timeout_s = timeout_s
        self._together = Batcher(self._ask, batch_max=AT_ONCE)
        self._asked_at = -math.inf

    async def predict(
        self, text: str, want_embedding: bool = False, facts: Facts | None = None
    ) -> tuple[Prediction, list[float] | None]:
        """
        One redacted text (`services.core.models.texts.join_text`) routed; the embedding (384 floats) when asked for.
        With what else is known of the ticket the prediction has an outlook, of a model that has heads for it.

        Texts that come while a request is under way go together in the next.

        Raises:
            RouterUnavailable: no answer in time, a 5xx, or an answer that is not ours; a retry may help.
            InputInvalid: the router refused the text (4xx); a retry cannot help.
        """
        if want_embedding:
            return (await self.predict_many([text], want_embeddings=True))[0]
        return await self._together.submit((text, facts)), None

    def quiet_s(self) -> float:
        """How long ago the last ticket was asked about: who is in no hurry lets them go first."""
        return time.monotonic() - self._asked_at

    async def _ask(self, tickets: Sequence[tuple[str, Facts | None]]) -> list[Prediction]:
        self._asked_at = time.monotonic()
        texts, facts = [text for text, _ in tickets], [known for _, known in tickets]
        return [prediction for prediction, _ in await self.predict_many(texts, facts=facts)]

    async def predict_many(
        self, texts: list[str], *, want_embeddings: bool = False, facts: Sequence[Facts | None] = ()
    ) -> list[tuple[Prediction, list[float] | None]]:
        """Several texts in one request, answers in order; raises as `predict`."""
        answer = await self._post(build_request(texts, want_embeddings=want_embeddings, facts=facts))
        try:
            return parse_response(answer)
        except (KeyError, IndexError, TypeError, ValueError) as exc:
            raise RouterUnavailable(f"The router at {self._url} answered in another shape: {exc!r:.200}") from exc

    async def _post(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            response = await self._client.post(self._url, json=request, timeout=self._timeout_s)
        except httpx.HTTPError as exc:
            raise RouterUnavailable(f"The router at {self._url} does not answer ({type(exc).__name__}).") from exc
        if response.status_code >= 500 or response.status_code in (404, 408, 429):  # 404: no such model there yet
            raise RouterUnavailable(f"The router at {self._url} answered {response.status_code}: {_error(response)}")
        if response.status_code >= 400:
            raise InputInvalid(f"The router refused the text ({response.status_code}): {_error(response)}")
        try:
            return response.json()
        except ValueError as exc:
            raise RouterUnavailable(f"The router at {self._url} answered something that is not JSON.") from exc


def build_request(texts: list[str], *, want_embeddings: bool, facts: Sequence[Facts | None] = ()) -> dict[str, Any]:
    names = (*OUTPUTS, "embedding") if want_embeddings else OUTPUTS
    told = MANY_FACTS.dump_json(list(facts), exclude_defaults=True).decode() if any(facts) else ""
    return {
        **({"parameters": {"facts": told}} if told else {}),
        "inputs": [{"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": texts}],
        "outputs": [{"name": name} for name in names],
    }


def parse_response(answer: dict[str, Any]) -> list[tuple[Prediction, list[float] | None]]:
    """An OIP v2 answer of the router in our contract, one entry per text."""
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    version, rows = answer["model_version"], len(outputs["confidence"])
    vectors = _split(outputs.get("embedding"), rows)
    return [(_prediction(outputs, row, version), vectors[row] if vectors else None) for row in range(rows)]


def _prediction(outputs: dict[str, list[Any]], row: int, version: str) -> Prediction:
    k = len(outputs["label"]) // len(outputs["confidence"])
    pairs = zip(outputs["label"][row * k : row * k + k], outputs["probability"][row * k : row * k + k], strict=True)
    told = outputs["outlook"][row] if "outlook" in outputs else ""
    return Prediction(
        top=tuple(ScoredGroup(group=group, probability=probability) for group, probability in pairs if group),
        confidence=outputs["confidence"][row],
        similarity=outputs["similarity"][row],
        band=Band(outputs["band"][row]),
        reason=outputs["reason"][row],
        model_version=version,
        outlook=Outlook.model_validate_json(told) if told else None,
    )


def _split(flat: list[float] | None, rows: int) -> list[list[float]] | None:
    if flat is None:
        return None
    size = len(flat) // rows
    return [flat[row * size : (row + 1) * size] for row in range(rows)]


def _error(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])[:300]
    except (ValueError, KeyError, TypeError):
        return "no reason given"
