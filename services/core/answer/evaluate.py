"""
How good retrieval, gate and clarification are on labelled questions over a corpus, in a scratch schema of its own.

A corpus is JSON lines of {doc_id, title, text}; questions are {question, history: [{speaker, text}], answerability,
gold_doc_ids}. Both may be gzipped.
"""

import gzip
import json
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from psycopg import AsyncConnection, sql

from services.core.answer import clarify
from services.core.answer.calibrate import calibrate
from services.core.answer.gate import Calibration, read_calibration
from services.core.answer.signals import Signals, read
from services.core.contracts.document import TITLE_MAX_CHARS, Document, DocumentKind
from services.core.kit.errors import InputInvalid
from services.core.search import documents
from services.core.search.chunk import cut
from services.core.search.encoder import TextEncoder, Vectors
from services.core.search.indexing import fingerprint
from services.core.search.parse import Block
from services.core.search.rerank import Reranker, reranked, wide
from services.core.search.retrieve import Found, Question, Scope, meant_vector, search
from services.core.search.topics import unless_new

TABLES = ("shelves", "documents", "chunks", "chunk_terms")
SOURCE = "corpus"
ARMS = {"text": (1.0, 0.0), "vector": (0.0, 1.0), "fused": (1.0, 1.0), "default": (1.0, 1.0)}
CHUNKS_FETCHED = 60  # ten documents are among them even when the first ones fill many chunks


@dataclass(frozen=True)
class Labelled:
    """`answerability` is ANSWERABLE, UNANSWERABLE, PARTIAL or UNDERSPECIFIED, or empty when the file does not say."""

    question: Question
    gold: frozenset[str]
    answerability: str
    collection: str


@dataclass(frozen=True)
class Measured:
    """What one question gave: documents by arm, best first; signals; the seconds of the way an answer takes."""

    labelled: Labelled
    ranks: dict[str, tuple[str, ...]]
    signals: Signals
    seconds: float


def read_lines(path: Path) -> list[dict[str, Any]]:
    """
    The objects of a JSON lines file.

    Raises:
        InputInvalid: it cannot be read as such; names the line.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    rows: list[dict[str, Any]] = []
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            for line in file:
                rows.append(json.loads(line))
    except (OSError, ValueError, EOFError) as exc:
        raise InputInvalid(f"{path}, line {len(rows) + 1}: {exc}. One JSON object per line is expected.") from exc
    return rows


def read_questions(path: Path) -> list[Labelled]:
    """
    Labelled questions.

    Raises:
        InputInvalid: a line lacks its question.
    """
    try:
        return [_labelled(row) for row in read_lines(path)]
    except (KeyError, TypeError, AttributeError) as exc:
        raise InputInvalid(f"{path}: a line lacks {exc}. See: pointsman rag evaluate --help") from exc


@asynccontextmanager
async def scratch(conn: AsyncConnection[Any]) -> AsyncGenerator[None]:
    """Inside the block the search's tables are empty ones, gone after it; the company's own are not touched."""
    name = f"evaluation_{secrets.token_hex(4)}"
    schema = sql.Identifier(name)
    await conn.execute(sql.SQL("create schema {}").format(schema))
    try:
        for table in TABLES:
            names = {
                "new": sql.Identifier(name, table),
                "old": sql.Identifier("public", table),
            }
            await conn.execute(sql.SQL("create table {new} (like {old} including all)").format(**names))
        await conn.execute(sql.SQL("set search_path to {}, public").format(schema))
        yield
    finally:
        await conn.execute("reset search_path")
        await conn.execute(sql.SQL("drop schema {} cascade").format(schema))


async def index_corpus(conn: AsyncConnection[Any], encoder: TextEncoder, corpus: Sequence[dict[str, Any]]) -> int:
    """Each passage as a document; returns how many chunks they make."""
    chunks = 0
    for row in corpus:
        document = _document(encoder, row)
        vectors = encoder.embed([documents.embedded_text(document.title, chunk) for chunk in document.chunks])
        async with conn.transaction():
            await documents.put(conn, document, vectors, encoder=encoder.version)
        chunks += len(document.chunks)
    await conn.execute("analyze")
    return chunks


async def measure(
    conn: AsyncConnection[Any],
    encoder: TextEncoder,
    questions: Sequence[Labelled],
    *,
    arms: bool,
    reranker: Reranker | None = None,
) -> list[Measured]:
    """Every question as it would be answered; with `arms`, also what each arm would have found."""
    return [await _measure_one(conn, encoder, labelled, reranker, arms=arms) for labelled in questions]


async def evaluate(
    conn: AsyncConnection[Any],
    encoder: TextEncoder,
    corpus: Path,
    questions: Path,
    calibration: Path | None,
    reranker: Reranker | None = None,
) -> tuple[list[Measured], Calibration]:
    """
    Indexes the corpus in a scratch schema and measures the questions there. The gate is calibrated on the labelled
    questions of the file `calibration`, or as it is shipped.
    """
    rows, asked = read_lines(corpus), read_questions(questions)
    taught = read_questions(calibration) if calibration else []
    async with scratch(conn):
        await index_corpus(conn, encoder, rows)
        learnt = await measure(conn, encoder, taught, arms=False, reranker=reranker)
        judged = await measure(conn, encoder, asked, arms=True, reranker=reranker)
    return judged, calibration_of(learnt, source=calibration.name) if calibration else read_calibration()


def calibration_of(learnt: Sequence[Measured], *, source: str) -> Calibration:
    """The gate that these questions teach."""
    return calibrate(
        np.array([one.signals.row() for one in learnt]),
        np.array([clarify.features(one.labelled.question, one.signals) for one in learnt]),
        [one.labelled.answerability for one in learnt],
        source=source,
    )


async def _measure_one(
    conn: AsyncConnection[Any], encoder: TextEncoder, labelled: Labelled, reranker: Reranker | None, *, arms: bool
) -> Measured:
    begun = time.perf_counter()
    vector = meant_vector(encoder, labelled.question)
    found = await reranked(reranker, await _find(conn, encoder, labelled.question, vector, wide(reranker, Scope())))
    signals = read(encoder, found)
    seconds = time.perf_counter() - begun
    ranks: dict[str, tuple[str, ...]] = {}
    for arm, (text_share, vector_share) in ARMS.items() if arms else ():
        scope = Scope(k=CHUNKS_FETCHED, text_share=text_share, vector_share=vector_share)
        look = _find if arm == "default" else _find_in_context
        every = await look(conn, encoder, labelled.question, vector, scope)
        if arm == "default":
            every = await reranked(reranker, every, kept=CHUNKS_FETCHED)
        ranks[arm] = tuple(dict.fromkeys(evidence.uri for evidence in every.evidence))
    return Measured(labelled, ranks, signals, seconds)


async def _find_in_context(
    conn: AsyncConnection[Any], encoder: TextEncoder, question: Question, vector: Vectors, scope: Scope
) -> Found:
    return await search(conn, question, vector, encoder.version, scope)


async def _find(
    conn: AsyncConnection[Any], encoder: TextEncoder, question: Question, vector: Vectors, scope: Scope
) -> Found:
    """As an answer is made: a question that begins something new is searched by itself."""

    async def find(question: Question, vector: Vectors) -> Found:
        return await search(conn, question, vector, encoder.version, scope)

    return await unless_new(encoder, question, await find(question, vector), find)


def _document(encoder: TextEncoder, row: dict[str, Any]) -> Document:
    uri, title, text = str(row["doc_id"]), str(row.get("title") or ""), str(row["text"])
    return Document(
        source=SOURCE,
        uri=uri,
        title=title[:TITLE_MAX_CHARS],
        kind=DocumentKind.TEXT,
        content_sha256=fingerprint(text.encode(), (), encoder.version),
        chunks=cut([Block(text)], encoder.count),
    )


def kind_of(row: dict[str, Any]) -> str:
    """Whether a labelled question can be answered, in the data's words; empty when nobody said."""
    kinds = row.get("answerability") or [""]
    return kinds if isinstance(kinds, str) else kinds[0]


def _labelled(row: dict[str, Any]) -> Labelled:
    history = row.get("history") or []
    replies = [turn["text"] for turn in history if turn["speaker"] != "user"]
    question = Question(
        text=row["question"],
        previous=tuple(turn["text"] for turn in history if turn["speaker"] == "user"),
        reply=replies[-1] if replies else "",
    )
    gold = frozenset(row.get("gold_doc_ids") or ())
    return Labelled(question, gold, kind_of(row), str(row.get("collection") or ""))
