"""`pointsman models`: what is there, what did not pass and why, promotion, rollback and comparison."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.core.kit.objects import open_store
from services.core.models import registry
from services.core.models.manifest import ENCODER_FILE, MANIFEST_FILE
from services.core.models.registry import Gate
from tests.services.trainer.bundles import made_up_tickets, other_bundle, small_bundle
from tests.services.trainer.test_main import write_history


@pytest.fixture
def conn(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    monkeypatch.setenv("POINTSMAN_DATABASE_URL", database)
    monkeypatch.setenv("POINTSMAN_OBJECTS_URL", f"file:{tmp_path}/objects")
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


@pytest.fixture
def versions(conn: psycopg.Connection, tmp_path: Path) -> tuple[str, str]:
    """A champion, and a candidate that did not pass."""
    store = open_store(f"file:{tmp_path}/objects")
    good, bad = (registry.register(conn, store, folder) for folder in (small_bundle(), other_bundle()))
    registry.record_gates(conn, good, [Gate("macro_f1", True, "macro-F1 0.990, floor 0.15")])
    registry.record_gates(conn, bad, [Gate("macro_f1", False, "macro-F1 0.100, floor 0.15"), Gate("latency", True, "")])
    registry.promote(conn, good)
    return good, bad


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["models", *arguments])
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


def found(*arguments: str) -> dict:
    code, said = run(*arguments, "--format", "json")
    assert code == 0, said
    return json.loads(said)


def test_the_list_names_the_gates_that_were_not_passed(versions: tuple[str, str]) -> None:
    good, bad = versions
    listed = {row["version"]: row for row in found("list")}
    assert (listed[good]["status"], listed[good]["failed"]) == ("champion", [])
    assert (listed[bad]["status"], listed[bad]["failed"]) == ("candidate", ["macro_f1"])
    code, said = run("show", bad)
    assert code == 0
    assert "macro-F1 0.100, floor 0.15" in said
    assert "macro_f1" in run("list")[1]


def test_one_that_did_not_pass_serves_only_with_a_reason(conn: psycopg.Connection, versions: tuple[str, str]) -> None:
    """The refusal names the gate; the reason is in the audit log, beside the promotion."""
    good, bad = versions
    code, said = run("promote", bad)
    assert code == 1
    assert "macro_f1 (macro-F1 0.100, floor 0.15)" in said
    assert registry.champion(conn).version == good
    assert run("promote", bad, "--force", "a team is gone")[0] == 0
    assert registry.champion(conn).version == bad
    told = conn.execute(
        "select action, detail ->> 'why' from audit_log where subject = %s", (f"model/{bad}",)
    ).fetchall()
    assert told == [("model.forced", "a team is gone"), ("model.promoted", None)]
    assert good in run("rollback")[1]
    assert registry.champion(conn).version == good
    assert run("show", "router-that-is-not")[0] == 1


@pytest.mark.parametrize("harm", ["gone", "flipped"])
def test_what_no_router_could_load_is_not_put_into_service(
    conn: psycopg.Connection, versions: tuple[str, str], tmp_path: Path, harm: str
) -> None:
    """Promoted, forced or gone back to: the file is named, the champion stays, nothing is written."""
    good, bad = versions
    registry.promote(conn, bad)
    stored = {version: tmp_path / "objects" / "models" / version / ENCODER_FILE for version in versions}
    for path in stored.values():
        if harm == "gone":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    count = "select count(*) from audit_log"
    before = conn.execute(count).fetchone()
    for asked in (("promote", good), ("promote", good, "--force", "why not"), ("rollback",)):
        code, said = run(*asked)
        assert code == 1, said
        assert f"models/{good}/{ENCODER_FILE}" in said
        assert "train again" in said
    assert registry.champion(conn).version == bad
    assert conn.execute(count).fetchone() == before


def test_nothing_is_forced_where_nothing_stood_in_the_way(conn: psycopg.Connection, versions: tuple[str, str]) -> None:
    """A reason beside gates that were all passed, or for what serves already, is no force."""
    good, bad = versions
    assert run("promote", good, "--force", "why")[0] == 0
    registry.promote(conn, bad)
    assert run("promote", bad, "--force", "why")[0] == 0
    assert run("promote", good, "--force", "why")[0] == 0
    assert registry.champion(conn).version == good
    assert conn.execute("select count(*) from audit_log where action = 'model.forced'").fetchone() == (0,)


def test_a_card_that_cannot_be_written_or_is_gone_is_said(versions: tuple[str, str], tmp_path: Path) -> None:
    good, _ = versions
    objects = tmp_path / "objects" / "models" / good
    assert "was trained before there were any, or" in run("card", good, "--out", str(tmp_path / "cards"))[1]
    (objects / "card").mkdir()
    (objects / "card" / "model.html").write_text("<h1>")
    (tmp_path / "taken").write_text("")
    for place in (tmp_path / "taken", tmp_path / "taken" / "below"):
        code, said = run("card", good, "--out", str(place))
        assert code == 1
        assert "--out FOLDER" in said
    (objects / MANIFEST_FILE).unlink()
    assert f"lacks models/{good}/{MANIFEST_FILE}" in run("card", good, "--out", str(tmp_path / "cards"))[1]


def test_a_promoted_models_groups_may_be_answered(conn: psycopg.Connection, versions: tuple[str, str]) -> None:
    names = conn.execute("select name from catalogue where kind = 'group' order by name").fetchall()
    assert [name for (name,) in names] == ["Access", "Hardware", "Legal", "Network", "Payroll"]


def test_two_versions_are_compared_on_tickets_neither_learnt_from(
    database: str, conn: psycopg.Connection, versions: tuple[str, str]
) -> None:
    good, bad = versions
    write_history(database, made_up_tickets(400))
    assert "Name two versions" in run("compare", good)[1]
    code, said = run("compare", bad)
    assert code == 1
    assert "learnt from every closed ticket" in said
    conn.execute("delete from history")
    write_history(database, made_up_tickets(60, seed=9, rare=0))
    told = found("compare", bad, good)
    assert 0 < told["rows"] <= 60
    assert all(0 <= value <= 1 for value in (*told["accuracy"], *told["macro_f1"], told["chance"]))
    assert f"On {told['rows']} tickets" in run("compare", bad)[1]
    conn.execute("""update history set "group" = 'Facilities' where id % 2 = 0""")
    code, said = run("compare", bad)
    lost = conn.execute("""select count(*) from history where "group" = 'Facilities'""").fetchone()
    assert (code, f"Left out: {lost[0]} tickets of groups that neither knows (Facilities: {lost[0]})." in said) == (
        0,
        True,
    )
    assert found("compare", bad)["rows"] == told["rows"] - lost[0]
    conn.execute("""update history set "group" = 'Facilities'""")
    code, said = run("compare", bad)
    assert (code, "Neither version knows a group" in said, "Facilities" in said) == (1, True, True)


def test_labels_tell_who_said_what_and_where_they_disagree(conn: psycopg.Connection) -> None:
    conn.execute(
        "insert into tickets (connector, external_id, state) values ('desk', '1', 'triaged'), ('desk', '2', 'triaged')"
    )
    conn.execute(
        "insert into labels (ticket_id, \"group\", source, by) values (1, 'Access', 'close', null),"
        " (1, 'Payroll', 'review', 'ann'), (2, 'Access', 'close', null), (2, 'Access', 'feedback', 'bob')"
    )
    listed = CliRunner().invoke(app, ["labels", "disagreements", "--format", "json"])
    (row,) = json.loads(listed.output)
    assert (row["ticket_id"], row["learnt"]) == (1, "Payroll")
    assert row["said"] == {"close": {"group": "Access", "by": None}, "review": {"group": "Payroll", "by": "ann"}}
    assert "Payroll (ann)" in CliRunner().invoke(app, ["labels", "disagreements"]).output
    assert len(json.loads(CliRunner().invoke(app, ["labels", "list", "--format", "json"]).output)) == 4
