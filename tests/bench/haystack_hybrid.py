"""
haystack's hybrid retrieval on given chunks and vectors; prints the milliseconds of each question as a JSON list.

Runs in an environment of its own, which holds haystack-ai and nothing of ours: python haystack_hybrid.py FILE
"""

import json
import sys
import time
from pathlib import Path

ROUNDS = 5


def main() -> None:
    from haystack import Document  # ty: ignore[unresolved-import]
    from haystack.components.joiners import DocumentJoiner  # ty: ignore[unresolved-import]
    from haystack.components.retrievers.in_memory import (  # ty: ignore[unresolved-import]
        InMemoryBM25Retriever,
        InMemoryEmbeddingRetriever,
    )
    from haystack.document_stores.in_memory import InMemoryDocumentStore  # ty: ignore[unresolved-import]

    given = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    documents = [
        Document(id=str(n), content=text, embedding=vector) for n, (text, vector) in enumerate(given["documents"])
    ]
    store.write_documents(documents)
    by_text = InMemoryBM25Retriever(store, top_k=30)
    by_vector = InMemoryEmbeddingRetriever(store, top_k=30)
    joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=10)
    took = []
    for _ in range(ROUNDS):
        for text, vector in given["questions"]:
            begun = time.perf_counter()
            found = [by_text.run(query=text)["documents"], by_vector.run(query_embedding=vector)["documents"]]
            joiner.run(documents=found)
            took.append((time.perf_counter() - begun) * 1000)
    print(json.dumps(took))


if __name__ == "__main__":
    main()
