"""Similar tickets on a real PostgreSQL with pgvector."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from services.core.kit.errors import InputInvalid
from services.core.search.similar import (
    DIMENSIONS,
    EXACT_MAX_ROWS,
    SimilarTicket,
    TicketVector,
    forget,
    index,
    nearest,
    stale,
)

VERSION = "router-7"
LARGE = EXACT_MAX_ROWS + 500  # just over the boundary: the approximate path
ENCODERS = 3


def near(direction: int, noise: float = 0.0, seed: int = 0) -> list[float]:
    """A unit vector about one axis; cosine to the bare axis is 1 / sqrt(1 + noise**2)."""
    vector = np.zeros(DIMENSIONS)
    vector[direction] = 1.0
    if noise:
        other = np.random.default_rng(seed).normal(size=DIMENSIONS)
        other[direction] = 0.0
        vector += noise * other / np.linalg.norm(other)
    return (vector / np.linalg.norm(vector)).tolist()


ONE = TicketVector(
    ref="ticket/1",
    kind="ticket",
    external_id="ZD-1",
    title="VPN fails",
    model_version=VERSION,
    embedding=near(0),
    group_name="Network",
    resolution="Reset the rule.",
    solved_at=datetime(2026, 11, 1, tzinfo=UTC),
)


def numbered(number: int, embedding: list[float], **changes: object) -> TicketVector:
    return replace(ONE, ref=f"ticket/{number}", external_id=f"ZD-{number}", embedding=embedding, **changes)


@pytest.fixture
async def conn(database: str) -> AsyncIterator[AsyncConnection]:
    async with await AsyncConnection.connect(database, autocommit=True, row_factory=dict_row) as opened:
        yield opened


def refs(found: list[SimilarTicket]) -> list[str]:
    return [ticket.ref for ticket in found]


async def test_the_nearest_come_first_with_what_a_note_needs(conn):
    await index(conn, [numbered(1, near(0)), numbered(2, near(0, 1.0)), numbered(3, near(0, 0.5))])
    found = await nearest(conn, near(0), model_version=VERSION)
    assert refs(found) == ["ticket/1", "ticket/3", "ticket/2"]
    assert [round(ticket.score, 2) for ticket in found] == [1.0, 0.89, 0.71]
    assert (found[0].group_name, found[0].resolution, found[0].solved_at) == ("Network", ONE.resolution, ONE.solved_at)


async def test_k_and_the_floor_limit_what_is_found(conn):
    """An unrelated ticket is no similar ticket, even when nothing else is there."""
    await index(conn, [numbered(n, near(0, n / 10, seed=n)) for n in range(1, 8)] + [numbered(9, near(5))])
    assert refs(await nearest(conn, near(0), model_version=VERSION, k=3)) == [
        "ticket/1",
        "ticket/2",
        "ticket/3",
    ]
    assert await nearest(conn, near(7), model_version=VERSION) == []
    assert "ticket/9" in refs(await nearest(conn, near(0), model_version=VERSION, k=20, floor=-1))


async def test_a_ticket_is_not_similar_to_itself(conn):
    await index(conn, [numbered(1, near(0)), numbered(2, near(0, 0.1))])
    assert refs(await nearest(conn, near(0), model_version=VERSION, exclude_ref="ticket/1")) == ["ticket/2"]


async def test_vectors_of_two_encoders_do_not_compare(conn):
    """After a promotion old vectors are stale until they are embedded again."""
    await index(conn, [ONE, numbered(2, near(0), model_version="router-8")])
    assert refs(await nearest(conn, near(0), model_version="router-8")) == ["ticket/2"]
    assert await stale(conn, "router-8") == ["ticket/1"]
    await index(conn, [replace(ONE, model_version="router-8")])
    assert await stale(conn, "router-8") == []
    assert len(await nearest(conn, near(0), model_version="router-8")) == 2


async def test_indexing_twice_is_indexing_once(conn):
    """A repeated step replaces; the newest words win."""
    await index(conn, [ONE])
    await index(conn, [replace(ONE, title="renamed")])
    (found,) = await nearest(conn, near(0), model_version=VERSION)
    assert found.title == "renamed"


async def test_a_router_without_an_encoder_indexes_and_finds_nothing(conn):
    assert await index(conn, [replace(ONE, embedding=[])]) == 0
    assert await index(conn, []) == 0
    assert await nearest(conn, [], model_version=VERSION) == []


@pytest.mark.parametrize("length", [1, DIMENSIONS - 1, DIMENSIONS + 1])
async def test_an_embedding_of_another_size_is_refused_with_the_fix(conn, length):
    with pytest.raises(InputInvalid, match="384"):
        await index(conn, [replace(ONE, embedding=[0.1] * length)])
    with pytest.raises(InputInvalid, match="384"):
        await nearest(conn, [0.1] * length, model_version=VERSION)


async def test_an_erased_ticket_is_not_found_again(conn):
    await index(conn, [ONE])
    assert not await forget(conn, "ticket/2")
    assert await forget(conn, ONE.ref)
    assert await nearest(conn, near(0), model_version=VERSION) == []


async def test_a_callers_rollback_takes_the_vectors_with_it(conn):
    """Helpers do not commit: the workflow's transaction decides."""
    async with conn.transaction(force_rollback=True):
        await index(conn, [ONE])
        assert len(await nearest(conn, near(0), model_version=VERSION)) == 1
    assert await nearest(conn, near(0), model_version=VERSION) == []


async def test_settings_of_a_query_among_many_do_not_leak_into_the_connection(crowded, queries):
    async with await AsyncConnection.connect(crowded, autocommit=True) as conn:
        await nearest(conn, queries[0], model_version="large")
        shown = await (await conn.execute("select current_setting('hnsw.iterative_scan')")).fetchone()
        assert shown == ("off",)


@pytest.fixture(scope="module")
def queries() -> list[list[float]]:
    """Fifty tickets of the same topics that nobody has indexed."""
    return _topic_vectors(50, seed=99).tolist()


@pytest.fixture(scope="module")
def crowded(postgres, template) -> str:
    """Many vectors of one encoder among those of others with the same topics, copied in as a bulk load."""
    name = "search_crowded"
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(f"create database {name} template {template}")
    url = postgres.url.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(url, autocommit=True) as conn:
        definition = conn.execute("select indexdef from pg_indexes where indexname = 'ticket_vectors_near'").fetchone()
        conn.execute("drop index ticket_vectors_near")
        _copy(conn, "large", _topic_vectors(LARGE, seed=1))
        for number in range(1, ENCODERS):
            _copy(conn, f"other-{number}", _topic_vectors(LARGE // ENCODERS, seed=1 + number))
        conn.execute("set maintenance_work_mem = '256MB'")
        conn.execute(definition[0])
        conn.execute("analyze ticket_vectors")
    return url


async def test_the_neighbours_among_many_are_the_true_ones(crowded, queries):
    """Recall at 5 of the index with iterative scans, against exact cosines in numpy: at least .95."""
    truth = np.argsort(-(np.array(queries) @ _topic_vectors(LARGE, seed=1).T), axis=1)[:, :5]
    async with await AsyncConnection.connect(crowded, autocommit=True) as conn:
        found = [await nearest(conn, query, model_version="large", floor=-1) for query in queries]
    hits = [len({f"large/{n}" for n in true} & set(refs(got))) for true, got in zip(truth, found, strict=True)]
    assert all(len(got) == 5 for got in found)
    assert sum(hits) / (5 * len(queries)) >= 0.95


async def test_an_encoder_with_few_vectors_gets_its_exact_neighbours(crowded, queries):
    """Where an index scan with a filter behind it would lose most of them."""
    truth = np.argsort(-(np.array(queries) @ _topic_vectors(LARGE // ENCODERS, seed=2).T), axis=1)[:, :5]
    async with await AsyncConnection.connect(crowded, autocommit=True) as conn:
        found = [await nearest(conn, query, model_version="other-1", floor=-1) for query in queries]
    hits = [len({f"other-1/{n}" for n in true} & set(refs(got))) for true, got in zip(truth, found, strict=True)]
    assert sum(hits) / (5 * len(queries)) >= 0.99  # halfvec rounds: two nearly equal neighbours may swap places


def _topic_vectors(rows: int, *, seed: int) -> np.ndarray:
    """float32 (rows, 384), unit length, about 300 shared topics: shaped like sentence embeddings of tickets."""
    topics = np.random.default_rng(0).normal(size=(300, DIMENSIONS))
    rng = np.random.default_rng(seed)
    vectors = topics[rng.integers(0, len(topics), rows)] + 0.9 * rng.normal(size=(rows, DIMENSIONS))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _copy(conn: psycopg.Connection, version: str, vectors: np.ndarray) -> None:
    columns = "ref, kind, external_id, title, model_version, embedding"
    heading = DIMENSIONS.to_bytes(2, "big") + b"\0\0"  # halfvec's binary form: size, unused, big-endian half floats
    with conn.cursor() as cursor, cursor.copy(f"copy ticket_vectors ({columns}) from stdin (format binary)") as copy:
        for number, half in enumerate(vectors.astype(">f2")):
            copy.write_row((f"{version}/{number}", "history", str(number), "t", version, heading + half.tobytes()))
