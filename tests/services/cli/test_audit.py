"""`pointsman audit verify` against anchors in the object store, and what else the chain has to tell."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.core.kit import anchors, audit
from services.core.kit.objects import open_store
from services.core.models import registry
from tests.services.core.kit.test_audit import tamper
from tests.services.trainer.bundles import other_bundle, small_bundle

COMPANY = "default"


@pytest.fixture
def objects(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The platform of the test, as a deployment names it."""
    url = f"file:{tmp_path}/objects"
    monkeypatch.setenv("POINTSMAN_DATABASE_URL", database)
    monkeypatch.setenv("POINTSMAN_OBJECTS_URL", url)
    return url


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


def append(conn: psycopg.Connection, count: int, word: str = "n") -> None:
    for number in range(count):
        conn.execute(audit.APPEND, ("worker", "ticket.decided", f"ticket/{number}", Jsonb({word: number})))
    conn.execute(audit.LINK, (audit.LINK_MAX,))


def keep_head(conn: psycopg.Connection, objects: str) -> None:
    head = audit.verify(conn).head
    assert head is not None
    assert anchors.keep(open_store(objects), COMPANY, anchors.Anchor.of_head(head))


def verify(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", "verify", *arguments])
    return done.exit_code, done.output


def test_a_whole_chain_agrees_with_its_anchors(conn: psycopg.Connection, objects: str) -> None:
    append(conn, 3)
    keep_head(conn, objects)
    append(conn, 2)
    code, said = verify()
    assert (code, "1 anchors outside the table agree; 2 entries are newer" in said) == (0, True), said
    found = json.loads(verify("--format", "json")[1])
    assert (found["anchors"], found["newest_anchor"], found["intact"]) == (1, 3, True)


def test_a_cut_tail_is_found_without_the_operators_own_anchor(conn: psycopg.Connection, objects: str) -> None:
    """The rest is whole in itself, but the store remembers a longer chain; also after new entries took the numbers."""
    append(conn, 5)
    keep_head(conn, objects)
    tamper(conn, "delete from audit where seq > 3")
    assert audit.verify(conn).is_intact
    code, said = verify()
    assert (code, "The end was cut: entry 5" in said) == (1, True), said
    append(conn, 4, word="other")
    code, said = verify()
    assert (code, "written anew" in said) == (1, True), said


def test_a_rewrite_from_the_middle_is_found(conn: psycopg.Connection, objects: str) -> None:
    """Every hash from there on is right again; the anchor names the entry that is another now."""
    append(conn, 2)
    keep_head(conn, objects)
    append(conn, 4)
    keep_head(conn, objects)
    tamper(conn, "delete from audit where seq > 3")
    append(conn, 6, word="forged")
    assert audit.verify(conn).is_intact
    code, said = verify()
    assert (code, "from entry 3 to 6" in said) == (1, True), said


def test_what_is_not_linked_yet_is_told(conn: psycopg.Connection, objects: str) -> None:
    """An operator reads how much nothing proves yet; the chain is no less whole for it."""
    append(conn, 3)
    conn.execute(audit.APPEND, ("worker", "ticket.decided", "ticket/9", Jsonb({})))
    code, said = verify()
    assert (code, "1 entries wait to be linked" in said) == (0, True), said
    assert json.loads(verify("--format", "json")[1])["pending"] == 1


def test_an_anchor_is_never_overwritten(conn: psycopg.Connection, objects: str) -> None:
    append(conn, 1)
    keep_head(conn, objects)
    store, (anchor,) = open_store(objects), anchors.kept(open_store(objects), COMPANY)
    assert not anchors.keep(store, COMPANY, anchor)
    assert anchors.kept(store, "another") == []


def test_keys_and_promotions_are_in_the_chain(conn: psycopg.Connection, objects: str, tmp_path: Path) -> None:
    """Who may do what, and which model decides, changed when: entries of their own, without a secret."""
    made = CliRunner().invoke(app, ["keys", "create", "n8n", "--role", "viewer"])
    key_id = made.output.strip().split("_")[1]
    assert CliRunner().invoke(app, ["keys", "revoke", key_id]).exit_code == 0
    with conn.transaction():
        version = registry.register(conn, open_store(objects), small_bundle())
        registry.promote(conn, version)
        registry.promote(conn, version)  # changes nothing, tells nothing
    with conn.transaction():
        better = registry.register(conn, open_store(objects), other_bundle())
        registry.promote(conn, better)
    assert registry.rollback(conn, open_store(objects)) == version
    rows = conn.execute("select action, subject, detail from audit_log order by pending").fetchall()
    assert [(action, subject) for action, subject, _ in rows] == [
        ("key.created", f"key/{key_id}"),
        ("key.revoked", f"key/{key_id}"),
        ("model.promoted", f"model/{version}"),
        ("model.promoted", f"model/{better}"),
        ("model.rolled_back", f"model/{version}"),
    ]
    assert [detail["before"] for _, _, detail in rows[2:]] == [None, version, better]
    assert rows[0][2] == {"name": "n8n", "role": "viewer"}
    assert set(rows[2][2]) == {"before", "files"}
    assert made.output.strip().split("_", 2)[2] not in json.dumps([row[2] for row in rows])
