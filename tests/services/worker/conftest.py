"""For what looks at embeddings of many tickets: a router that embeds by words, and a database with its model."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from services.core.kit.database import Pool, build_pool
from services.core.search import similar
from tests.services.worker.served_router import ServedRouter


class EmbeddingRouter(ServedRouter):
    """Embeds a text by its words: each pulls to a direction of its own. `versions`: the last stays."""

    def __init__(self) -> None:
        self.versions = ["m1"]
        super().__init__()

    def answer(self, texts: list[str]) -> tuple[int, dict[str, Any]]:
        version = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        values: dict[str, list[Any]] = {
            "label": ["Network"] * len(texts),
            "probability": [1.0] * len(texts),
            "confidence": [0.9] * len(texts),
            "similarity": [0.5] * len(texts),
            "band": ["AUTO_ROUTE"] * len(texts),
            "reason": [""] * len(texts),
            "embedding": [float(x) for text in texts for x in embedded(text)],
        }
        return 200, {"model_version": version, "outputs": [{"name": k, "data": v} for k, v in values.items()]}


def embedded(text: str) -> np.ndarray:
    found = sum(np.random.default_rng(sum(map(ord, word))).normal(size=similar.DIMENSIONS) for word in text.split())
    return found / np.linalg.norm(found)


@pytest.fixture
def router() -> Iterator[EmbeddingRouter]:
    made = EmbeddingRouter()
    yield made
    made.close()


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    with psycopg.connect(database) as conn:
        conn.execute("insert into models (version, status, uri, manifest) values ('m1', 'champion', '', '{}')")
    async with build_pool(database, min_size=1, max_size=3) as pool:
        yield pool
