"""The audit chain: append-only, and every change to it shows."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.types.json import Jsonb

from services.core.kit import audit


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as conn:
        for number in range(5):
            conn.execute(audit.APPEND, ("worker", "ticket.decided", f"ticket/{number}", Jsonb({"n": number})))
        yield conn


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


@pytest.mark.parametrize("statement", ["update audit set actor = 'x'", "delete from audit", "truncate audit"])
def test_the_log_refuses_to_be_changed(conn: psycopg.Connection, statement: str) -> None:
    """For everybody who cannot switch the trigger off."""
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        conn.execute(statement.encode())
