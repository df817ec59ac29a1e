"""
The chat: turns per second and what their stages take on an index of so many chunks; memory; how fast pages are indexed.

The index is the sample handbook, copied with other numbers and a little noise on each vector until it has the chunks:
a copy's words and neighbours are as many as a real page's, its sense is not. haystack's hybrid retrieval runs beside it
on the same chunks and vectors where a Python with `haystack-ai` is named (POINTSMAN_BENCH_HAYSTACK).

20,000 chunks take two to three minutes, 200,000 four to nine: two cores, quiet or shared. Seeding is 10 s and 100 s of
it, haystack on the large index two minutes and more.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import psycopg
from obstore.store import LocalStore
from psycopg import AsyncConnection

from services.core.kit.database import migrate
from services.core.search.encoder import DIMENSIONS, open_encoder
from services.core.search.indexing import Source, index_store
from services.local.conversations import HANDBOOK
from services.local.postgres import EmbeddedPostgres
from services.trainer.text_encoder import export_text_encoder, put_encoder
from tests.bench.containers import cpu_s, open_folder, processes_of
from tests.bench.copies import grow
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
WARM_UP_S = 2.0
ROUNDS_OF_PAGES = 3
HAYSTACK = "POINTSMAN_BENCH_HAYSTACK"
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
            rows = _index_pages(postgres.url, folder)
            grow(postgres.url, chunks)
            rows += _turns(Rag(postgres.url, objects, environment=UNLIMITED), postgres, chunks, seconds)
            return rows + _haystack(postgres.url, folder, chunks)
        finally:
            postgres.stop()


UNLIMITED = {
    "POINTSMAN_RAG_MESSAGES_PER_MINUTE": "1000000",
    "POINTSMAN_RAG_CALLER_MESSAGES_PER_MINUTE": "1000000",
    "POINTSMAN_RAG_SESSIONS_PER_MINUTE": "1000000",
    "POINTSMAN_LOG_LEVEL": "WARNING",
}


def _index_pages(url: str, folder: Path) -> list[Row]:
    """Each round as a source of its own: nothing is known from the one before."""
    export_text_encoder(folder)
    encoder = open_encoder(folder, threads=os.cpu_count() or 1)

    async def index(source: str) -> int:
        async with await AsyncConnection.connect(url, autocommit=True) as conn:
            return len((await index_store(conn, encoder, LocalStore(str(HANDBOOK)), Source(source))).indexed)

    begun, worked = time.perf_counter(), time.process_time()
    pages = sum(asyncio.run(index(f"round-{number}")) for number in range(ROUNDS_OF_PAGES))
    per_minute = pages / (time.perf_counter() - begun) * 60
    each_ms = (time.process_time() - worked) / pages * 1000
    return [
        Row(ROOM, "pages of the handbook indexed per minute", per_minute, "pages/min", Target(at_least=1_000)),
        Row(ROOM, "processor time of a page, without the database's", each_ms, "ms"),
    ]


Who = Mapping[str, Callable[[], list[psutil.Process]]]


@dataclass(frozen=True)
class Load:
    """Seconds of each turn that counts, and processor seconds of one turn by who spent them."""

    took: list[float]
    cpu_s: dict[str, float]


def _turns(rag: Rag, postgres: EmbeddedPostgres, chunks: int, seconds: float) -> list[Row]:
    rag.start()
    try:
        assert rag.process is not None
        process = psutil.Process(rag.process.pid)
        idle = process.memory_full_info().uss / 2**20
        who: Who = {"chat": lambda: [process], "database": lambda: processes_of(postgres)}
        load = _load(rag, who, seconds)
        working = process.memory_full_info().uss / 2**20
    finally:
        rag.kill()
    with psycopg.connect(postgres.url) as conn:
        stages = conn.execute(STAGES.encode()).fetchall()
    on = f"on {chunks:,} chunks"
    median, p95 = (float(np.percentile(load.took, share)) * 1000 for share in (50, 95))
    rows = [
        Row(ROOM, f"turns {on}, {CLIENTS} at once", len(load.took) / seconds, "turns/s"),
        Row(ROOM, f"turn {on}, median", median, "ms"),
        Row(ROOM, f"turn {on}, p95", p95, "ms", Target(at_most=300)),
    ]
    rows += [Row(ROOM, f"of it {name} {on}, p95", float(p95), "ms") for name, _, p95 in stages]
    rows += [Row(ROOM, f"processor time of a turn {on}, {who}", s * 1000, "ms") for who, s in load.cpu_s.items()]
    return [
        *rows,
        Row(ROOM, "container's private memory, idle", idle, "MiB", Target(at_most=250)),
        Row(ROOM, f"container's private memory after that work {on}", working, "MiB"),
    ]


def _load(rag: Rag, who: Who, seconds: float) -> Load:
    """Every turn is in a conversation of its own; the first ones warm up, and their time does not count."""
    took: list[float] = []
    turns: list[int] = []
    begin = time.perf_counter() + WARM_UP_S
    before = _spent_s(who)

    def talk(offset: int) -> None:
        with httpx.Client(base_url=rag.url, timeout=60) as http:
            number = offset
            while time.perf_counter() < begin + seconds:
                opened = http.post("/sessions", json={}).raise_for_status().json()
                headers = {"Authorization": f"Bearer {opened['token']}"}
                said = {"text": QUESTIONS[number % len(QUESTIONS)]}
                now = time.perf_counter()
                http.post(f"/sessions/{opened['id']}/messages", json=said, headers=headers).raise_for_status()
                if now >= begin:
                    took.append(time.perf_counter() - now)
                turns.append(number)
                number += 1

    people = [threading.Thread(target=talk, args=(offset,)) for offset in range(CLIENTS)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    return Load(took, {name: (spent - before[name]) / len(turns) for name, spent in _spent_s(who).items()})


def _spent_s(who: Who) -> dict[str, float]:
    return {name: sum(map(cpu_s, processes())) for name, processes in who.items()}


def _haystack(url: str, folder: Path, chunks: int) -> list[Row]:
    """In an environment of its own; nothing where none is named."""
    python = os.environ.get(HAYSTACK)
    if not python:
        print(f"haystack is not measured: name a Python that has haystack-ai in {HAYSTACK}", file=sys.stderr)
        return []
    encoder = open_encoder(folder)
    with tempfile.TemporaryDirectory() as place:
        _export(url, Path(place), chunks)
        questions = [(text, encoder.embed([text])[0].tolist()) for text in QUESTIONS]
        (Path(place) / "questions.json").write_text(json.dumps(questions), "utf-8")
        command = [python, str(Path(__file__).with_name("haystack_hybrid.py")), place]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return _as_rows(json.loads(done.stdout), chunks)


def _export(url: str, place: Path, chunks: int) -> None:
    """Texts as JSON lines, vectors as one array: 200,000 vectors in JSON would be a gigabyte."""
    vectors = np.empty((chunks, DIMENSIONS), np.float32)
    with psycopg.connect(url) as conn, (place / "texts.jsonl").open("w", encoding="utf-8") as file:
        rows = conn.cursor("chunks")
        rows.itersize = 5_000
        count = 0
        for text, vector in rows.execute("select text, embedding::text from chunks order by id limit %s", (chunks,)):
            vectors[count] = np.fromstring(vector[1:-1], np.float32, sep=",")
            file.write(json.dumps(text) + "\n")
            count += 1
    np.save(place / "vectors.npy", vectors[:count])


def _as_rows(took_ms: Sequence[float], chunks: int) -> list[Row]:
    on = f"on {chunks:,} chunks, in memory, retrieval alone"
    shares = {"median": 50, "p95": 95}
    return [
        Row(ROOM, f"haystack's hybrid {on}, {name} of {len(took_ms)}", float(np.percentile(took_ms, share)), "ms")
        for name, share in shares.items()
    ]
