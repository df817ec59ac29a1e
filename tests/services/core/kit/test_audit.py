"""The audit chain: append-only, linked behind the transactions that write it, and every change to it shows."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.types.json import Jsonb

from services.core.kit import audit


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as conn:
        for number in range(5):
            conn.execute(audit.APPEND, entry(number))
        link(conn)
        yield conn


def entry(number: int) -> tuple[str, str, str, Jsonb]:
    return ("worker", "ticket.decided", f"ticket/{number}", Jsonb({"n": number}))


def link(conn: psycopg.Connection) -> int:
    return conn.execute(audit.LINK, (audit.LINK_MAX,)).fetchone()[0]


def tamper(conn: psycopg.Connection, statement: str) -> None:
    """As a database administrator could: past the trigger."""
    conn.execute("set session_replication_role = replica")
    conn.execute(statement.encode())
    conn.execute("set session_replication_role = origin")


def test_a_chain_that_nobody_touched_is_intact(conn: psycopg.Connection) -> None:
    """Numbers without a gap, each hash from content and predecessor."""
    report = audit.verify(conn)
    assert (report.is_intact, report.entries) == (True, 5)
    assert report.head is not None
    assert report.head.startswith("5:")


@pytest.mark.parametrize(
    ("statement", "first_broken"),
    [
        ("update audit set detail = '{\"n\": 99}' where seq = 3", 3),
        ("update audit set actor = 'nobody' where seq = 1", 1),
        ("delete from audit where seq = 2", 3),
        ("update audit set hash = repeat('0', 64) where seq = 4", 4),
    ],
)
def test_a_change_shows_at_its_place(conn: psycopg.Connection, statement: str, first_broken: int) -> None:
    """Content, actor, a missing entry, a forged hash."""
    tamper(conn, statement)
    assert audit.verify(conn).first_broken == first_broken


def test_a_cut_end_shows_against_an_anchor_only(conn: psycopg.Connection) -> None:
    """The rest looks whole in itself; the head printed earlier is gone."""
    head = audit.verify(conn).head
    assert head is not None
    tamper(conn, "delete from audit where seq > 3")
    assert audit.verify(conn).is_intact
    assert not audit.has_anchor(conn, head)


@pytest.mark.parametrize("table", ["audit", "audit_pending"])
@pytest.mark.parametrize("statement", ["update {} set actor = 'x'", "delete from {}", "truncate {}"])
def test_the_log_refuses_to_be_changed(conn: psycopg.Connection, table: str, statement: str) -> None:
    """For everybody who cannot switch the trigger off, linked or not."""
    statement = statement.format(table)
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        conn.execute(statement.encode())


def numbers(conn: psycopg.Connection) -> list[int]:
    """Of all entries, linked or not."""
    return [n for (n,) in conn.execute("select (detail ->> 'n')::int from audit_log order by seq nulls last, pending")]


def test_an_entry_is_in_the_log_before_it_is_linked_and_holds_nobody_up(
    conn: psycopg.Connection, database: str
) -> None:
    """Another ticket's transaction, still open with an entry of its own, is not waited for."""
    with psycopg.connect(database) as slow:
        slow.execute(audit.APPEND, entry(99))
        conn.execute("set statement_timeout = '10s'")
        conn.execute(audit.APPEND, entry(5))
        assert numbers(conn) == [0, 1, 2, 3, 4, 5]
        assert (audit.verify(conn).entries, audit.verify(conn).pending) == (5, 1)
        assert link(conn) == 1
    assert numbers(conn) == [0, 1, 2, 3, 4, 5, 99]
    assert link(conn) == 1
    report = audit.verify(conn)
    assert (report.is_intact, report.entries, report.pending) == (True, 7, 0)


def test_what_follows_another_entry_is_linked_after_it(conn: psycopg.Connection) -> None:
    """Whoever saw an entry committed writes a later one: batches keep that order."""
    for number in range(5, 12):
        conn.execute(audit.APPEND, entry(number))
    while conn.execute(audit.LINK, (3,)).fetchone()[0]:
        pass
    linked = [n for (n,) in conn.execute("select (detail ->> 'n')::int from audit order by seq")]
    assert linked == list(range(12))


def test_a_linker_that_is_killed_neither_loses_nor_doubles(conn: psycopg.Connection, database: str) -> None:
    """Its backend dies before it commits: what it had moved waits as before, and the next one links it."""
    for number in range(5, 9):
        conn.execute(audit.APPEND, entry(number))
    with psycopg.connect(database) as dying:
        assert link(dying) == 4
        assert link(conn) == 0  # one at a time, and nobody waits
        conn.execute("select pg_terminate_backend(%s)", (dying.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            dying.execute("select 1")
    assert numbers(conn) == list(range(9))
    assert (link(conn), link(conn)) == (4, 0)
    report = audit.verify(conn)
    assert (report.is_intact, report.entries, numbers(conn)) == (True, 9, list(range(9)))


def test_writers_and_linkers_beside_each_other_make_one_chain(conn: psycopg.Connection, database: str) -> None:
    """Four writers, some of whose transactions fail, and two linkers: each entry that was committed once."""

    def write(first: int) -> None:
        with psycopg.connect(database, autocommit=True) as writer:
            for number in range(first, first + 50):
                with writer.transaction(force_rollback=number % 10 == 7):
                    writer.execute(audit.APPEND, entry(number))

    def link_on() -> None:
        with psycopg.connect(database, autocommit=True) as linker:
            while not is_over.is_set():
                link(linker)

    is_over = threading.Event()
    writers = [threading.Thread(target=write, args=(first,)) for first in (100, 200, 300, 400)]
    linkers = [threading.Thread(target=link_on) for _ in range(2)]
    for thread in (*writers, *linkers):
        thread.start()
    for thread in writers:
        thread.join()
    is_over.set()
    for thread in linkers:
        thread.join()
    link(conn)
    wanted = [n for first in (100, 200, 300, 400) for n in range(first, first + 50) if n % 10 != 7]
    report = audit.verify(conn)
    assert (report.is_intact, report.pending) == (True, 0)
    assert sorted(numbers(conn)) == sorted([*range(5), *wanted])
    for first in (100, 200, 300, 400):  # of one writer in its order
        own = [n for n in numbers(conn) if first <= n < first + 50]
        assert own == sorted(own)
