"""The micro-batcher with a model that waits until it is told to go on."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from services.core.contracts.prediction import Band, Prediction, ScoredGroup
from services.core.models.bundle import Inference
from services.router.batching import MicroBatcher, Overloaded


class GatedModel:
    """Echoes each text as its group; runs a batch when `go` is set, and remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.started = threading.Event()
        self.go = threading.Event()

    def infer(self, texts: Sequence[str]) -> Inference:
        self.batches.append(list(texts))
        self.started.set()
        assert self.go.wait(10)
        if "poison" in texts:
            raise RuntimeError("boom")
        return Inference([_prediction(text) for text in texts], np.arange(len(texts), dtype=np.float32)[:, None])


def _prediction(group: str) -> Prediction:
    top = (ScoredGroup(group=group, probability=1.0),)
    return Prediction(top=top, confidence=1, similarity=1, band=Band.AUTO_ROUTE, reason="", model_version="v")


async def _busy(model: GatedModel, batcher: MicroBatcher) -> asyncio.Task[Inference]:
    """A first request that is inside the model now."""
    first = asyncio.create_task(batcher.submit(["first"]))
    await asyncio.to_thread(model.started.wait, 10)
    return first


async def test_idle_batcher_starts_at_once():
    """A lone ticket does not wait for company."""
    model = GatedModel()
    model.go.set()
    batcher = MicroBatcher(model.infer, batch_max=32, queue_max=100)
    assert [p.group for p in (await batcher.submit(["a", "b"])).predictions] == ["a", "b"]
    assert model.batches == [["a", "b"]]


async def test_waiting_requests_share_a_batch():
    """What arrives while the model runs goes together, each gets its own answers, in order."""
    model = GatedModel()
    batcher = MicroBatcher(model.infer, batch_max=4, queue_max=100)
    first = await _busy(model, batcher)
    others = [asyncio.create_task(batcher.submit(texts)) for texts in (["a"], ["b", "c"], ["d"], ["e"])]
    await asyncio.sleep(0)  # one turn of the loop: all are queued
    assert batcher.queued_texts == 5
    model.go.set()
    answers = await asyncio.gather(first, *others)
    assert model.batches == [["first"], ["a", "b", "c", "d"], ["e"]]
    assert [[p.group for p in answer.predictions] for answer in answers] == [["first"], ["a"], ["b", "c"], ["d"], ["e"]]
    assert answers[2].embeddings.ravel().tolist() == [1, 2]
    assert batcher.queued_texts == 0


async def test_full_queue_refuses():
    """The text beyond `queue_max` is refused at once; those in the queue are answered."""
    model = GatedModel()
    batcher = MicroBatcher(model.infer, batch_max=32, queue_max=2)
    first = await _busy(model, batcher)
    queued = [asyncio.create_task(batcher.submit([text])) for text in ("a", "b")]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="2 texts are waiting"):
        await batcher.submit(["c"])
    model.go.set()
    await asyncio.gather(first, *queued)


async def test_request_larger_than_a_batch_passes_an_empty_queue():
    model = GatedModel()
    model.go.set()
    batcher = MicroBatcher(model.infer, batch_max=2, queue_max=3)
    assert len((await batcher.submit(list("abcdef"))).predictions) == 6


async def test_failing_batch_fails_its_senders_only():
    """An error inside the model reaches those who were in the batch; the next request is served."""
    model = GatedModel()
    model.go.set()
    batcher = MicroBatcher(model.infer, batch_max=32, queue_max=100)
    with pytest.raises(RuntimeError, match="boom"):
        await batcher.submit(["poison"])
    assert len((await batcher.submit(["fine"])).predictions) == 1


async def test_sender_that_left_is_not_computed():
    model = GatedModel()
    batcher = MicroBatcher(model.infer, batch_max=32, queue_max=100)
    first = await _busy(model, batcher)
    gone, staying = (asyncio.create_task(batcher.submit([text])) for text in ("gone", "staying"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    model.go.set()
    await asyncio.gather(first, staying)
    assert model.batches == [["first"], ["staying"]]
