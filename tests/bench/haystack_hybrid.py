"""
haystack's hybrid retrieval on given chunks and vectors; prints the milliseconds of each question as a JSON list.

Runs in an environment of its own, which holds haystack-ai and nothing of ours: python haystack_hybrid.py FOLDER,
where FOLDER has texts.jsonl, vectors.npy and questions.json.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROUNDS = 5
ENOUGH_S = 60.0  # on large indexes a question takes seconds: no further one begins after this


def main() -> None:
    from haystack.components.joiners import DocumentJoiner  # ty: ignore[unresolved-import]
    from haystack.components.retrievers.in_memory import (  # ty: ignore[unresolved-import]
        InMemoryBM25Retriever,
        InMemoryEmbeddingRetriever,
    )
    from haystack.document_stores.in_memory import InMemoryDocumentStore  # ty: ignore[unresolved-import]

    folder = Path(sys.argv[1])
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(list(read_documents(folder)))
    by_text = InMemoryBM25Retriever(store, top_k=30)
    by_vector = InMemoryEmbeddingRetriever(store, top_k=30)
    joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=10)
    took: list[float] = []
    questions = json.loads((folder / "questions.json").read_text("utf-8"))
    end = time.perf_counter() + ENOUGH_S
    for text, vector in questions * ROUNDS:
        begun = time.perf_counter()
        if begun > end:
            break
        found = [by_text.run(query=text)["documents"], by_vector.run(query_embedding=vector)["documents"]]
        joiner.run(documents=found)
        took.append((time.perf_counter() - begun) * 1000)
    print(json.dumps(took))


def read_documents(folder: Path) -> Iterator[Any]:
    import numpy as np
    from haystack import Document  # ty: ignore[unresolved-import]

    vectors = np.load(folder / "vectors.npy")
    with (folder / "texts.jsonl").open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            yield Document(id=str(number), content=json.loads(line), embedding=vectors[number].tolist())


if __name__ == "__main__":
    main()
