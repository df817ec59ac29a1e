"""
The chat: turns per second and what their stages take on an index of so many chunks; memory; how fast pages are indexed.

The index is the sample handbook, copied with other numbers and a little noise on each vector until it has the chunks:
a copy's words and neighbours are as many as a real page's, its sense is not. haystack's hybrid retrieval runs beside it
on the same chunks and vectors where a Python with `haystack-ai` is named (POINTSMAN_BENCH_HAYSTACK).

How long 20,000 and 200,000 chunks take was not measured yet; most of it is to build the vectors' index.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
import psutil
import psycopg
from obstore.store import LocalStore
from psycopg import AsyncConnection

from services.core.kit.database import migrate
from services.core.search.encoder import open_encoder
from services.core.search.indexing import Source, index_store
from services.local.conversations import HANDBOOK
from services.local.postgres import EmbeddedPostgres
from services.trainer.text_encoder import export_text_encoder, put_encoder
from tests.bench.containers import open_folder
from tests.bench.report import Row, Target
from tests.conftest import free_port
from tests.services.rag.conftest import Rag

ROOM = "conversations"
QUESTIONS = (
    "How do I reset my password?",
    "The VPN asks for a code on my new phone",
    "Who approves a new laptop?",
    "How do I add a printer?",
    "My badge does not open the door",
    "How do I share a file with another company?",
)
CLIENTS = 4
ROUNDS_OF_PAGES = 3
HAYSTACK = "POINTSMAN_BENCH_HAYSTACK"
GROW = """
with base as materialized (select d.shelf_id, d.source, d.title, d.kind, d.content_sha256, d.id from documents d),
made as (
    insert into documents (shelf_id, source, uri, title, kind, content_sha256)
    select shelf_id, source, 'copy-' || g || '-' || id, title, kind, content_sha256
    from base cross join generate_series(%(first)s::int, %(last)s::int) g returning id, uri, shelf_id
)
insert into chunks (document_id, shelf_id, ordinal, heading, text, start_s, page, encoder, embedding)
select m.id, m.shelf_id, c.ordinal, c.heading, c.text || ' Unit ' || split_part(m.uri, '-', 2) || '.',
       c.start_s, c.page, c.encoder, (c.embedding::vector + n.noise)::halfvec
from made m join chunks c on c.document_id = split_part(m.uri, '-', 3)::int
cross join lateral (select array_agg((random() - 0.5) * 0.05)::vector(384) as noise
                    from generate_series(1, 384) where c.id is not null and m.id is not null) n
"""
POST = """
insert into chunk_terms (term, chunk_id, shelf_id, weight)
select t.lexeme, c.id, c.shelf_id, 1.0 from chunks c
cross join lateral unnest(to_tsvector('english', c.text)) t
where not exists (select from chunk_terms k where k.chunk_id = c.id)
"""
STAGES = """
select key, percentile_cont(0.5) within group (order by value::real),
       percentile_cont(0.95) within group (order by value::real)
from session_events e cross join lateral jsonb_each_text(e.detail -> 'ms') group by key order by min(e.id)
"""


def measure(*, chunks: int, seconds: float) -> list[Row]:
    """Rows for an index of so many chunks."""
    with open_folder() as folder:
        objects = folder / "objects"
        objects.mkdir()
        put_encoder(LocalStore(str(objects)))
        postgres = EmbeddedPostgres(folder / "postgres", free_port())
        postgres.start()
        try:
            migrate(postgres.url)
            rows = [_index_pages(postgres.url, folder)]
            _grow(postgres.url, chunks)
            rows += _turns(Rag(postgres.url, objects, environment=UNLIMITED), postgres.url, chunks, seconds)
            return rows + _haystack(postgres.url, folder, chunks)
        finally:
            postgres.stop()


UNLIMITED = {
    "POINTSMAN_RAG_MESSAGES_PER_MINUTE": "1000000",
    "POINTSMAN_RAG_CALLER_MESSAGES_PER_MINUTE": "1000000",
    "POINTSMAN_RAG_SESSIONS_PER_MINUTE": "1000000",
    "POINTSMAN_LOG_LEVEL": "WARNING",
}


def _index_pages(url: str, folder: Path) -> Row:
    """Each round as a source of its own: nothing is known from the one before."""
    export_text_encoder(folder)
    encoder = open_encoder(folder, threads=os.cpu_count() or 1)

    async def index(source: str) -> int:
        async with await AsyncConnection.connect(url, autocommit=True) as conn:
            return len((await index_store(conn, encoder, LocalStore(str(HANDBOOK)), Source(source))).indexed)

    begun = time.perf_counter()
    pages = sum(asyncio.run(index(f"round-{number}")) for number in range(ROUNDS_OF_PAGES))
    per_minute = pages / (time.perf_counter() - begun) * 60
    return Row(ROOM, "pages of the handbook indexed per minute", per_minute, "pages/min", Target(at_least=1_000))


def _grow(url: str, chunks: int) -> None:
    """The vectors' index is dropped meanwhile: made at once it takes a tenth of the time."""
    with psycopg.connect(url, autocommit=True) as conn:
        ((name, definition),) = conn.execute(
            "select indexname, indexdef from pg_indexes where tablename = 'chunks' and indexdef like '%hnsw%'"
        ).fetchall()
        base = _count(conn)
        conn.execute(f'drop index "{name}"'.encode())
        conn.execute("set maintenance_work_mem = '512MB'")
        copies = max(chunks // base - 1, 0)
        for first in range(1, copies + 1, 50):
            conn.execute(GROW.encode(), {"first": first, "last": min(first + 49, copies)})
        conn.execute(POST.encode())
        conn.execute(definition.encode())
        conn.execute("analyze")


def _turns(rag: Rag, url: str, chunks: int, seconds: float) -> list[Row]:
    rag.start()
    try:
        assert rag.process is not None
        process = psutil.Process(rag.process.pid)
        idle = process.memory_full_info().uss / 2**20
        took = _load(rag, seconds)
        working = process.memory_full_info().uss / 2**20
    finally:
        rag.kill()
    with psycopg.connect(url) as conn:
        stages = conn.execute(STAGES.encode()).fetchall()
    on = f"on {chunks:,} chunks"
    rows = [
        Row(ROOM, f"turns {on}, {CLIENTS} at once", len(took) / seconds, "turns/s"),
        Row(ROOM, f"turn {on}, median", float(np.percentile(took, 50)) * 1000, "ms"),
        Row(ROOM, f"turn {on}, p95", float(np.percentile(took, 95)) * 1000, "ms", Target(at_most=300)),
    ]
    rows += [Row(ROOM, f"of it {name} {on}, p95", float(p95), "ms") for name, _, p95 in stages]
    rows += [
        Row(ROOM, "container's private memory, idle", idle, "MiB", Target(at_most=250)),
        Row(ROOM, f"container's private memory after that work {on}", working, "MiB"),
    ]
    return rows


def _load(rag: Rag, seconds: float) -> list[float]:
    """Seconds of each turn, every one in a conversation of its own; the first ones warm up and do not count."""
    took: list[float] = []
    begin = time.perf_counter() + 2.0

    def talk(offset: int) -> None:
        with httpx.Client(base_url=rag.url, timeout=60) as http:
            number = offset
            while (now := time.perf_counter()) < begin + seconds:
                opened = http.post("/sessions", json={}).raise_for_status().json()
                headers = {"Authorization": f"Bearer {opened['token']}"}
                said = {"text": QUESTIONS[number % len(QUESTIONS)]}
                http.post(f"/sessions/{opened['id']}/messages", json=said, headers=headers).raise_for_status()
                if now >= begin:
                    took.append(time.perf_counter() - now)
                number += 1

    people = [threading.Thread(target=talk, args=(offset,)) for offset in range(CLIENTS)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    return took


def _haystack(url: str, folder: Path, chunks: int) -> list[Row]:
    """In an environment of its own; nothing where none is named."""
    python = os.environ.get(HAYSTACK)
    if not python:
        print(f"haystack is not measured: name a Python that has haystack-ai in {HAYSTACK}", file=sys.stderr)
        return []
    encoder = open_encoder(folder)
    with psycopg.connect(url) as conn, tempfile.TemporaryDirectory() as place:
        found = conn.execute("select text, embedding::text from chunks order by id limit %s", (chunks,)).fetchall()
        questions = [(text, encoder.embed([text])[0].tolist()) for text in QUESTIONS]
        file = Path(place) / "chunks.json"
        documents = [(text, json.loads(vector)) for text, vector in found]
        file.write_text(json.dumps({"documents": documents, "questions": questions}), "utf-8")
        script = Path(__file__).with_name("haystack_hybrid.py")
        done = subprocess.run([python, str(script), str(file)], capture_output=True, text=True, check=True)
    return _as_rows(json.loads(done.stdout), chunks)


def _as_rows(took_ms: Sequence[float], chunks: int) -> list[Row]:
    on = f"on {chunks:,} chunks, in memory, retrieval alone"
    return [Row(ROOM, f"haystack's hybrid {on}, p95", float(np.percentile(took_ms, 95)), "ms")]


def _count(conn: psycopg.Connection) -> int:
    row = conn.execute("select count(*) from chunks").fetchone()
    return int(row[0]) if row else 0
