"""`python -m services.trainer` from the shell: files, database, gates, clear errors."""

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from services.core.kit.errors import ConfigurationInvalid
from services.core.kit.objects import open_store
from services.core.models import registry
from services.core.models.bundle import load_bundle
from services.core.models.manifest import VOCABULARY_FILE
from services.core.text import hide
from services.core.text.hide import build_hide
from services.trainer.repository import read_examples
from tests.services.trainer.bundles import made_up_tickets, other_bundle, small_bundle, small_encoder


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.trainer", "--progress", "json", *arguments]
    given = {"POINTSMAN_TRAINER_BASE_MODEL": str(small_encoder()), **environment}
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | given, check=False, timeout=300)


def write_history(database: str, rows: list) -> None:  # a list of Example
    statement = (
        'insert into history (source, external_id, subject, body, "group", content_hash)'
        " values ('test', %s, %s, '', %s, %s)"
    )
    with psycopg.connect(database) as conn:
        values = [(str(n), row.text, row.group, str(n)) for n, row in enumerate(rows)]
        conn.cursor().executemany(statement, values)


def test_file_to_bundle(tmp_path: Path):
    """A gzipped CSV becomes a bundle that knows no address; stdout is JSON lines, the last one the report."""
    data = tmp_path / "closed.csv.gz"
    with gzip.open(data, "wt", encoding="utf-8") as file:
        file.write("Betreff,team\n")
        file.writelines(f'"{row.text} for zelda@quux.example",{row.group}\n' for row in made_up_tickets(60))
    ran = run("--data", str(data), "--map", "subject=Betreff", "--out", str(tmp_path / "bundle"))
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert lines[0]["stage"] == "prepare"
    assert all(0 <= line["fraction"] <= 1 for line in lines[:-1])
    assert load_bundle(tmp_path / "bundle").version == lines[-1]["version"]
    known = json.loads((tmp_path / "bundle" / VOCABULARY_FILE).read_bytes())["words"]
    assert "firewall" in known
    assert not {"zelda", "quux"} & set(known)


def test_without_a_redactor_no_file_is_read(monkeypatch: pytest.MonkeyPatch):
    """The trainer's container has none: what cannot be hidden is not learnt."""
    monkeypatch.setitem(sys.modules, "services.core.text.redact", None)
    hide._redactor.cache_clear()
    with pytest.raises(ConfigurationInvalid, match=r"here is no redactor .*pointsman history import"):
        build_hide()([{"text": "hello"}])


def test_history_to_champion_and_no_worse(database: str, tmp_path: Path):
    """The first candidate becomes champion; one trained on shuffled labels does not pass the gates."""
    place = {
        "POINTSMAN_DATABASE_URL": database,
        "POINTSMAN_OBJECTS_URL": f"file://{tmp_path}/objects",
        "POINTSMAN_TRAINER_WORK_DIR": str(tmp_path / "work"),
    }
    rows = made_up_tickets(160, rare=0)
    write_history(database, rows)
    first = run("--promote", **place)
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout.splitlines()[-1])
    assert report["promoted"]
    assert all(gate["passed"] for gate in report["gates"])

    groups = [row.group for row in rows]
    random.Random(1).shuffle(groups)
    with psycopg.connect(database) as conn:
        conn.cursor().executemany(
            'update history set "group" = %s where external_id = %s', [(g, str(n)) for n, g in enumerate(groups)]
        )
    second = run("--promote", **place)
    assert second.returncode == 1
    assert "not promoted" in second.stderr
    with psycopg.connect(database) as conn:
        champion = registry.champion(conn)
        assert champion is not None
        assert champion.version == report["version"]
        assert len(registry.versions(conn)) == 2
        told = conn.execute("select subject, detail from audit_log where action = 'model.rejected'").fetchall()
        newest = registry.versions(conn)[0].version
        assert [subject for subject, _ in told] == [f"model/{newest}"]
        assert all(f"{gate}: " in second.stderr for gate in told[0][1]["gates"].split(", "))
        store = open_store(f"file://{tmp_path}/objects")
        assert "data.html" in registry.fetch_card(store, champion, tmp_path / "cards")
        assert "macro_f1" in (tmp_path / "cards" / "model.html").read_text()  # its gates are in it
        assert load_bundle(registry.fetch(store, champion, tmp_path / "cache")).version == report["version"]


def test_three_containers_train_one_model(database: str, tmp_path: Path):
    """Each start does one part, on a machine of its own: what the next one goes on with lies on the run's disk."""
    place = {
        "POINTSMAN_DATABASE_URL": database,
        "POINTSMAN_OBJECTS_URL": f"file://{tmp_path}/objects",
        "POINTSMAN_TRAINER_RUN_DIR": str(tmp_path / "disk"),
    }
    data = tmp_path / "closed.csv"
    data.write_text("Betreff,team\n" + "".join(f'"{r.text}",{r.group}\n' for r in made_up_tickets(160, rare=0)))
    file = ("--data", str(data), "--map", "subject=Betreff")
    parts = (("--until", "prepare"), ("--until", "finetune"), ("--promote",))
    starts = [
        run(*file, *part, **place, POINTSMAN_TRAINER_WORK_DIR=str(tmp_path / f"machine-{number}"))
        for number, part in enumerate(parts)
    ]
    assert [ran.returncode for ran in starts] == [0, 0, 0], starts[-1].stderr
    told = [[json.loads(line) for line in ran.stdout.splitlines()] for ran in starts]
    assert [lines[-1].get("stopped_after") for lines in told] == ["prepare", "finetune", None]
    again = {line["stage"] for line in told[2][:-1] if line["detail"] == "done before"}
    assert again == {"prepare", "finetune"}
    with psycopg.connect(database) as conn:
        assert [version.version for version in registry.versions(conn)] == [told[2][-1]["version"]]


def test_a_tickets_own_policy_says_whether_it_was_late(database: str):
    """Two tickets closed after five hours: the one that we called urgent had four, the other a day."""
    rules = {"policies": [{"priority": "urgent", "target_hours": 4}, {"target_hours": 24}]}
    with psycopg.connect(database) as conn:
        conn.execute("insert into sla_rules (rules, by) values (%s, 'test')", (json.dumps(rules),))
        for number, priority in enumerate(("urgent", "low")):
            (ticket,) = conn.execute(
                "insert into tickets (connector, external_id, state, subject, body, created_at)"
                " values ('desk', %s, 'triaged', 'Subject', %s, now() - interval '5 hours') returning id",
                (str(number), priority),
            ).fetchone()
            conn.execute(
                'insert into decisions (ticket_id, workflow_id, decision, "group", band, confidence, priority, shadow)'
                " values (%s, %s, '{}', 'Net', 'AUTO_ROUTE', .9, %s, false)",
                (ticket, f"w{number}", priority),
            )
            conn.execute("insert into labels (ticket_id, \"group\", source) values (%s, 'Net', 'close')", (ticket,))
        found = {row.text: row.targets for row in read_examples(conn)}
    assert [found[f"Subject\n{word}"].breached for word in ("urgent", "low")] == [True, False]
    assert {one.priority for one in found.values()} == {""}  # what we decided ourselves is nothing to learn


def test_corrections_outrank_the_group_at_close(database: str):
    """History and our own tickets are read together; a person's word counts most; erased tickets are gone."""
    with psycopg.connect(database) as conn:
        write_history(database, made_up_tickets(3, rare=0))
        for number, state in enumerate(("triaged", "triaged", "erased")):
            ticket = conn.execute(
                "insert into tickets (connector, external_id, state, subject, body)"
                " values ('desk', %s, %s, 'Subject', %s) returning id",
                (str(number), state, f"body {number}"),
            ).fetchone()
            for group, source in (("Closed", "close"), ("Said", "feedback"), ("Reviewed", "review")):
                if number == 1 and source == "review":
                    continue
                conn.execute(
                    'insert into labels (ticket_id, "group", source) values (%s, %s, %s)', (ticket[0], group, source)
                )
        conn.commit()
        found = {row.text: row.group for row in read_examples(conn)}
    assert len(found) == 5
    assert found["Subject\nbody 0"] == "Reviewed"
    assert found["Subject\nbody 1"] == "Closed"


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        ("", (), "is empty"),
        ("title,group\n", (), "holds no rows below its header"),
        ("title,body\na,b\n", (), "no column for the group"),
        ("group,x\na,b\n", (), "no column for the body"),
        ("title,group\na,b\n", ("--map", "body=nope"), "no column 'nope'. It has: title, group"),
        ("title,group\n" + "".join(f"t{n},Only\n" for n in range(9)), (), "only 'Only'"),
    ],
)
def test_bad_files_are_explained(tmp_path: Path, content: str, arguments: tuple[str, ...], says: str):
    """Exit code 1, one line that says what is wrong and what there is; no trace."""
    path = tmp_path / "file.csv"
    path.write_text(content)
    ran = run("--data", str(path), "--out", str(tmp_path / "bundle"), *arguments)
    assert ran.returncode == 1
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "bundle").exists()


def test_rollback_from_the_shell(database: str, tmp_path: Path):
    """One command puts the former champion back; when there is none it says so."""
    place = {"POINTSMAN_DATABASE_URL": database, "POINTSMAN_OBJECTS_URL": f"file://{tmp_path}/objects"}
    store = open_store(f"file://{tmp_path}/objects")
    with psycopg.connect(database, autocommit=True) as conn:
        for folder in (small_bundle(), other_bundle()):
            registry.promote(conn, registry.register(conn, store, folder))
        first = load_bundle(small_bundle()).version
        assert json.loads(run("--rollback", **place).stdout)["version"] == first
        assert registry.champion(conn).version == first
    again = run("--rollback", **place)
    assert again.returncode == 1
    assert "no earlier champion" in again.stderr


def test_missing_database_and_wrong_usage_are_explained():
    assert "POINTSMAN_DATABASE_URL" in run(POINTSMAN_DATABASE_URL="").stderr
    assert run("--map", "colour=red").returncode == 2
    gone = run(POINTSMAN_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert gone.returncode == 1
    assert "does not answer" in gone.stderr


def test_empty_history_says_how_to_fill_it(database: str, tmp_path: Path):
    ran = run(POINTSMAN_DATABASE_URL=database, POINTSMAN_OBJECTS_URL=f"file://{tmp_path}/o")
    assert ran.returncode == 1
    assert "pointsman history import" in ran.stderr
