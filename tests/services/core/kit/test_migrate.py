"""Migrating: from what has landed before, with rows in it; two at once; never another company's database."""

import hashlib
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.core.connectors.desk import Desk, DeskSettings
from services.core.kit import audit, databases, outbox, schema
from services.core.kit.database import build_pool, migrate
from services.core.kit.errors import ConfigurationInvalid, Conflict
from services.core.kit.security import authenticate
from services.core.llm import ledger
from services.core.search import similar
from services.gateway import repository as gateway
from services.local.postgres import EmbeddedPostgres
from services.worker import repository as worker

FOLDER = Path(schema.MIGRATIONS)
FROZEN = {
    "audit.sql": "ac3cfca42a112989",
    "desk_tables.sql": "9bb662c2ec265eeb",
    "history_tables.sql": "61f05b5ff0861a63",
    "llm_tables.sql": "f9c24567a6cb76ad",
    "search_tables.sql": "9a3bcbea00d214d9",
    "spine_tables.sql": "463796cabf06cde2",
    "versions/0001_spine.py": "b38538e3707afc24",
    "versions/0002_one_company.py": "d407dccec0dac41c",
    "versions/0002_one_company.sql": "8ae02ffbbeea140d",
    "versions/0003_console_sessions.py": "42d862d7e5b8cc15",
    "versions/0004_documents.py": "215a118913f8331a",
    "versions/0004_documents.sql": "7f4e7156178d1118",
    "versions/0005_a_million.py": "d0f14b2be8367ee9",
    "versions/0005_a_million.sql": "9859ceada70edd50",
    "versions/0006_conversations.py": "f0d9e22570ad58e3",
    "versions/0006_conversations.sql": "443469677f4bf535",
    "versions/0007_teams.py": "c14f04c277d4f8b7",
    "versions/0008_letters_and_positions.py": "333711166f206f48",
    "versions/0009_doors.py": "df5c0a4d714d1f53",
    "versions/0009_doors.sql": "b6e0e20ab4f4518c",
    "versions/0010_audit_pending.py": "9a85a6d3c64d3dcd",
    "versions/0010_audit_pending.sql": "92680201b702ca87",
    "versions/0011_content_of_deliveries.py": "e61f9655d2ed99f4",
    "versions/0012_doors_of_the_chain.py": "6754663f35ff06ec",
    "versions/0013_event_positions.py": "d1f263e7c6b8104e",
    "versions/0014_predictions.py": "6962cf2f31aaddf9",
    "versions/0015_notices.py": "51abc3a1be4bf08c",
    "versions/0016_cursors_of_imports.py": "4dc59c20a5a7c85a",
    "versions/0017_conversations_told.py": "e7f5025a85da594b",
    "versions/0017_conversations_told.sql": "c08938e25d43ca9c",
    "versions/0018_mails.py": "24b8333d744bbc83",
    "versions/0019_gates.py": "eb3e3329c30e44c4",
    "versions/0020_lanes_of_tickets.py": "909374dce71ec9fd",
    "versions/0021_canaries.py": "9eb5a4227c9ab063",
    "versions/0022_support_levels.py": "ceeb8bc85869fa8c",
    "versions/0023_review_reasons.py": "fb20db392b326353",
    "versions/0024_models_in_the_console.py": "a3d2d33ed8e9627a",
    "versions/0025_tickets_of_conversations.py": "e251ecfb29416c45",
    "versions/0026_sla.py": "1c285386a237a8c9",
    "versions/0027_drift.py": "c86a4d86fea76722",
    "versions/0028_surges.py": "0a12c06552014ff0",
    "versions/0029_facts.py": "89a4287b7575dc58",
    "versions/0030_serving_since.py": "d1bc14337581d29c",
    "versions/0031_retention.py": "c182be9ec908af0d",
    "versions/0032_outcomes.py": "2696ec1ccace676a",
}
CODE = "import sys; from services.core.kit.database import migrate; migrate(sys.argv[1])"
ROWS = Path(__file__).with_name("rows_of_0001.sql").read_text("utf-8")
OTHERS = ("tickets (tenant, connector, external_id) values", "catalogue (tenant, kind, name) values")
TABLES = """
select table_schema || '.' || table_name as name from information_schema.tables
where table_schema in ('public', 'raw') and table_type = 'BASE TABLE' and table_name <> 'schema_version' order by 1
"""

Fresh = Callable[[], str]


@pytest.fixture
def fresh(postgres: EmbeddedPostgres) -> Iterator[Fresh]:
    """Makes empty databases that were never migrated."""
    made: list[str] = []

    def make() -> str:
        made.append(f"fresh_{secrets.token_hex(4)}")
        with psycopg.connect(postgres.url, autocommit=True) as conn:
            conn.execute(sql.SQL("create database {}").format(sql.Identifier(made[-1])))
        return databases.address(postgres.url, made[-1])

    yield make
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        for name in made:
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def before(fresh: Fresh) -> str:
    """A database as the first landing made it, with rows in every table."""
    url = fresh()
    migrate(url, "acme", to="0001")
    with psycopg.connect(url) as conn:
        conn.execute(ROWS.encode())
    return url


def counted(url: str) -> dict[str, int]:
    with psycopg.connect(url) as conn:
        names = [row[0] for row in conn.execute(TABLES)]
        return {
            name: conn.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(*name.split(".")))).fetchone()[
                0
            ]
            for name in names
        }


def test_what_has_landed_is_frozen() -> None:
    """An edit in place would reach new databases only: the next change is a new revision, written down here too."""
    files = [*FOLDER.glob("*.sql"), *FOLDER.glob("versions/*.sql"), *FOLDER.glob("versions/*.py")]
    found = {file.relative_to(FOLDER).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files}
    assert found == FROZEN


def test_two_processes_that_migrate_a_fresh_database_at_once_both_end(fresh: Fresh) -> None:
    """The one that waits holds nothing open: the engine's concurrent index builds would wait for it for ever."""
    url = fresh()
    running = [subprocess.Popen([sys.executable, "-c", CODE, url]) for _ in range(2)]
    assert [process.wait(180) for process in running] == [0, 0]
    with psycopg.connect(url, autocommit=True) as conn:
        assert schema.look(conn) == schema.Found(schema.NEEDED, "default")


def test_every_table_of_the_first_landing_has_rows_here(before: str) -> None:
    """Else the upgrade below would prove nothing for it."""
    assert [name for name, rows in counted(before).items() if not rows] == []


def test_an_upgrade_keeps_every_row_and_takes_the_tenant_out(before: str) -> None:
    """Nothing is lost, no column is left, and the database knows its owner."""
    was = counted(before)
    migrate(before, "acme")
    now = counted(before)
    assert {name: now[name] for name in was} == {**was, "public.audit": was["public.audit"] + 1}
    with psycopg.connect(before, autocommit=True) as conn:
        assert schema.look(conn) == schema.Found(schema.NEEDED, "acme")
        left = conn.execute("select table_name from information_schema.columns where column_name = 'tenant'").fetchall()
    assert left == []


def test_the_audit_chain_holds_across_the_upgrade(before: str) -> None:
    """Old entries verify with the tenant they were hashed with, new ones without; a change of either is found."""
    with psycopg.connect(before) as conn:
        anchor = conn.execute("select seq || ':' || hash from audit order by seq desc limit 1").fetchone()[0]
    migrate(before, "acme")
    with psycopg.connect(before) as conn:
        conn.execute("select audit_append('worker', 'ticket.erased', 'ticket/1', '{}')")
        conn.execute(audit.LINK, (audit.LINK_MAX,))
        conn.commit()
        report = audit.verify(conn)
        assert (report.entries, report.is_intact, audit.has_anchor(conn, anchor)) == (4, True, True)
        conn.execute("alter table audit disable trigger audit_append_only")
        for seq in (1, 3, 4):
            conn.execute("savepoint s")
            conn.execute('update audit set detail = detail || \'{"group": "Access"}\' where seq = %s', (seq,))
            assert audit.verify(conn).first_broken == seq
            conn.execute("rollback to savepoint s")


async def test_everything_reads_back_after_an_upgrade(before: str) -> None:
    """Through the functions the containers use, and with the statements that need the keys made anew."""
    migrate(before, "acme")
    async with build_pool(before, company="acme", min_size=1, max_size=2) as pool, pool.connection() as conn:
        found = await gateway.ticket(conn, 1)
        assert found is not None
        assert found["review"]["reason"] == "unsure"
        assert [len(found[part]) for part in ("deliveries", "decisions", "labels", "notes", "outbox")] == [
            1,
            1,
            1,
            1,
            1,
        ]
        assert [len(found[part]) for part in ("model_calls", "audit")] == [1, 2]
        assert [row["id"] for row in await gateway.tickets(conn, FILTERS)] == [2, 1]
        assert (await gateway.counts(conn))["dead_letters"] == 1
        assert (await gateway.pulse(conn))["model_version"] == "v1"
        assert [group["name"] for group in await gateway.groups(conn)] == ["Access", "Network"]
        raw = await worker.raw_ticket(conn, 1)
        assert raw is not None
        assert raw.body == "Ann: every hour."
        near = await similar.nearest(conn, [0.05] * 384, model_version="v1")
        assert [one.ref for one in near] == ["ticket/1"]
        assert await ledger.spent_on(conn, "1") == 0.5
        assert (await authenticate(conn, "pm_0123456789ab_secret")).name == "n8n"
        assert await outbox.replay(conn) == 1
        ticket = await Desk(DeskSettings(), pool).fetch("1")
        assert ticket is not None
        assert [comment.body for comment in ticket.comments] == ["Looking."]
        await worker.erase(conn, 1)
        assert (await gateway.ticket(conn, 1) or {})["state"] == "erased"


FILTERS = {"before": None, "band": None, "group": None, "state": None, "limit": 9}


def test_an_upgraded_and_a_fresh_database_have_one_schema(before: str, database: str) -> None:
    """Columns, keys and indexes: nobody can tell which way a database came."""
    migrate(before, "acme")
    assert described(before) == described(database)


def described(url: str) -> dict[str, list[tuple]]:
    asked = {
        "columns": "select table_schema, table_name, column_name, data_type, is_nullable, column_default "
        "from information_schema.columns where table_schema in ('public', 'raw') order by 1, 2, 3",
        "indexes": "select indexdef from pg_indexes where schemaname in ('public', 'raw') order by 1",
        "functions": "select proname, pg_get_function_arguments(oid) from pg_proc "
        "where proname like 'audit%' order by 1, 2",
    }
    with psycopg.connect(url) as conn:
        return {name: conn.execute(statement.encode()).fetchall() for name, statement in asked.items()}


def test_a_database_of_two_tenants_is_not_touched(before: str) -> None:
    """The message names both and the command that takes one out."""
    add_tenant(before, "globex")
    was = counted(before)
    with pytest.raises(ConfigurationInvalid, match=r"2 tenants \(acme, globex\).*pointsman database split acme"):
        migrate(before, "acme")
    assert counted(before) == was


def test_splitting_gives_each_tenant_a_database_of_its_own(before: str, postgres: EmbeddedPostgres) -> None:
    """Rows of the other are gone, the audit log begins anew with the old head, and the old database stays as it was."""
    add_tenant(before, "globex")
    was, name = counted(before), f"split_{secrets.token_hex(4)}"
    with psycopg.connect(before), pytest.raises(Conflict, match="in use"):
        databases.split(before, "globex", name)
    url = databases.split(before, "globex", name)
    try:
        assert counted(before) == was
        with psycopg.connect(url, autocommit=True, row_factory=dict_row) as conn:
            assert schema.look(conn).company == "globex"
            assert conn.execute("select external_id from tickets").fetchall() == [{"external_id": "G-1"}]
            assert conn.execute("select name from catalogue").fetchall() == [{"name": "Theirs"}]
            for table in (
                "raw.texts",
                "decisions",
                "outbox",
                "ticket_vectors",
                "llm_cache",
                "api_keys",
                "desk_comments",
            ):
                assert conn.execute(f"select 1 from {table}".encode()).fetchone() is None, table
            assert conn.execute("select 1 from dbos.workflow_status").fetchone() is None
        with psycopg.connect(url) as conn:
            assert audit.verify(conn).is_intact
            first = conn.execute("select action, detail ->> 'head' from audit order by seq limit 1").fetchone()
        assert first[0] == "database.split"
        assert first[1].startswith("2:")
    finally:
        with psycopg.connect(postgres.url, autocommit=True) as conn:
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def add_tenant(url: str, tenant: str) -> None:
    with psycopg.connect(url) as conn:
        conn.execute("insert into tickets (tenant, connector, external_id) values (%s, 'generic', 'G-1')", (tenant,))
        conn.execute("insert into catalogue (tenant, kind, name) values (%s, 'group', 'Theirs')", (tenant,))


def test_another_companys_database_is_not_migrated(before: str) -> None:
    """Neither one that says its tenant nor one that says its owner."""
    with pytest.raises(ConfigurationInvalid, match=r"belongs to 'acme'.*POINTSMAN_COMPANY=acme"):
        migrate(before, "globex")
    migrate(before, "acme")
    with pytest.raises(ConfigurationInvalid, match=r"belongs to 'acme'.*POINTSMAN_COMPANY=acme"):
        migrate(before, "globex")


@pytest.mark.parametrize("container", ["gateway", "worker", "router", "trainer"])
def test_a_container_refuses_another_companys_database(container: str, database: str) -> None:
    """It ends with a message that names both companies and both ways out."""
    environment = {"POINTSMAN_DATABASE_URL": database, "POINTSMAN_COMPANY": "globex", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-m", f"services.{container}"],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "belongs to 'default', this process is configured for 'globex'" in done.stderr
    assert "POINTSMAN_COMPANY=default" in done.stderr


def test_one_command_makes_another_companys_database(database: str, postgres: EmbeddedPostgres) -> None:
    """On the same server, migrated, with its owner's name; again changes nothing; another owner is refused."""
    name = f"made_{secrets.token_hex(4)}"
    environment = {"POINTSMAN_DATABASE_URL": database}
    command = ["database", "create", "Globex GmbH", "--name", name, "--format", "json"]
    try:
        for _ in range(2):
            done = CliRunner().invoke(app, command, env=environment)
            assert json.loads(done.stdout) == {"company": "Globex GmbH", "database": name, "revision": schema.NEEDED}
        with psycopg.connect(databases.address(database, name), autocommit=True) as conn:
            assert schema.look(conn) == schema.Found(schema.NEEDED, "Globex GmbH")
        refused = CliRunner().invoke(app, ["database", "create", "initech", "--name", name], env=environment)
        assert "belongs to 'Globex GmbH'" in str(refused.exception)
        wrong = CliRunner().invoke(app, ["database", "create", "Globex GmbH"], env=environment)
        assert "cannot name a database" in str(wrong.exception)
        keys = CliRunner().invoke(app, ["keys", "list"], env=environment | {"POINTSMAN_COMPANY": "globex"})
        assert "belongs to 'default'" in str(keys.exception)
    finally:
        with psycopg.connect(postgres.url, autocommit=True) as conn:
            conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
