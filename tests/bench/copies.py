"""An index of so many chunks: what is indexed, copied in SQL until there are as many. Copies are made as a restore
makes them: without foreign keys and indexes, which come at the end."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg

COPY = Path(__file__).with_name("copies.sql").read_text("utf-8")
BATCH = 100  # copies of everything between two lines of progress
MEMORY = "1GB"  # the vectors' index of 200,000 chunks, some 250 MiB, is built in it and not on disk
HEAVY = ("chunk_terms_pkey", "chunk_terms_of", "chunks_near")
INDEXES = "select indexname, indexdef from pg_indexes where indexname = any(%s) order by indexname"
ORIGINAL_TERMS = "create temp table original_terms as select * from chunk_terms"
ROOM = "select (select max(id) from documents) as documents, (select max(id) from chunks) as chunks"


def grow(url: str, chunks: int) -> float:
    """Seconds until the index has about so many chunks; tells how far it is."""
    begun = time.perf_counter()
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("set session_replication_role = replica")  # foreign keys are triggers
        conn.execute(f"set maintenance_work_mem = '{MEMORY}'".encode())
        conn.execute("set synchronous_commit = off")
        ((documents, originals),) = conn.execute(ROOM).fetchall()
        conn.execute(ORIGINAL_TERMS)
        copies = max(round(chunks / originals) - 1, 0)
        with _bare(conn):
            for first in range(1, copies + 1, BATCH):
                last = min(first + BATCH - 1, copies)
                _copy(conn, {"first": first, "last": last, "documents": documents, "chunks": originals})
                _tell(f"{(last + 1) * originals:,} of {chunks:,} chunks", begun)
        conn.execute("vacuum analyze")
    _tell("seeded", begun)
    return time.perf_counter() - begun


@contextmanager
def _bare(conn: psycopg.Connection) -> Generator[None]:
    """Inside the block HEAVY indexes are not there; afterwards they are again, the primary key as what enforces it."""
    begun = time.perf_counter()
    indexes = conn.execute(INDEXES, (list(HEAVY),)).fetchall()
    assert len(indexes) == len(HEAVY), f"The index has changed: {HEAVY}, but there are {indexes}"
    conn.execute("alter table chunk_terms drop constraint chunk_terms_pkey")
    conn.execute("drop index chunk_terms_of, chunks_near")
    yield
    for name, definition in indexes:
        conn.execute(definition.encode())
        _tell(f"index {name}", begun)


def _copy(conn: psycopg.Connection, values: dict[str, int]) -> None:
    with conn.transaction():
        for statement in COPY.split(";\n"):
            conn.execute(statement.encode(), values)


def _tell(what: str, begun: float) -> None:
    print(f"  {time.perf_counter() - begun:5.0f} s  {what}", file=sys.stderr, flush=True)
