"""What each container may do in the database, and what it may not, asked as that container's user."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, RaiseException

from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Ticket
from services.core.kit.database import build_pool, connection
from services.core.kit.intake import ingest
from services.migrator.grants import GRANTS, OPERATORS
from tests.services.migrator.conftest import Server
from tests.services.migrator.statements import statements

# Whose statements each module of core holds, besides the container's own folder.
SHARED = {
    "services/core/kit/intake": ("gateway", "worker", "rag"),
    "services/core/kit/outbox": ("gateway", "worker"),
    "services/core/kit/retention": ("worker",),
    "services/core/kit/schema": tuple(GRANTS),
    "services/core/kit/tallies": ("gateway", "worker"),
    "services/core/kit/workflows": ("worker",),
    "services/core/history": ("worker",),
    "services/core/connectors/desk": ("gateway", "worker", "rag"),
    "services/core/connectors/desk_agents": ("gateway",),
    "services/core/answer/cases": ("rag",),
    "services/core/answer/gaps": ("rag",),
    "services/core/llm/ledger": ("worker",),
    "services/core/search/documents": ("rag",),
    "services/core/search/retrieve": ("rag",),
    "services/core/search/similar": ("worker",),
}
# Words put together where they are used; what they become is among the statements of a whole ticket (test_ticket.py).
WORKERS_OWN = "update tallies"  # folding them is upkeep
FRAGMENTS = {
    "services.core.search.retrieve",
    "services.gateway.repository",
    "services.gateway.review_queue",
    "services.gateway.service",
    "services.gateway.reviewing",
    "services.worker.upkeep",
}
EXECUTORS = "insert into executors (executor_id) values ('x')"
FORGED = "insert into audit values (1, now(), 'a', 'b', 'c', '{}', '', 'forged')"
PENDING = "insert into audit_pending (actor, action, subject, detail) values ('a', 'b', 'c', '{}')"
APPEND = "select audit_append('a', 'b', 'c', '{}')"
REFUSED = {
    "gateway": f"""
        select ticket from raw.texts
        select vault from raw.texts
        update raw.texts set vault = '{{}}'
        delete from raw.texts
        insert into raw.texts (ticket_id, ticket) values (1, '{{}}')
        select * from raw.messages
        delete from tickets
        delete from outbox
        insert into decisions default values
        update api_keys set role = 'admin'
        update models set status = 'champion'
        {EXECUTORS}
        {FORGED}
        {PENDING}
        delete from audit
        delete from audit_pending
        select audit_link(1)
        alter table audit disable trigger all
        select * from history
        select * from llm_cache
        select * from chunks
        select * from dbos.notifications
        drop table tickets
        create table public.mine (id int)
        create temp table mine (id int)
    """,
    "router": f"""
        select * from tickets
        update models set status = 'champion'
        select * from raw.texts
        select * from api_keys
        select * from history
        select * from dbos.workflow_status
        {APPEND}
        {EXECUTORS}
        select raw.take_text(1, '{{}}', true, true)
    """,
    "worker": f"""
        select * from raw.messages
        select * from api_keys
        select * from console_links
        update models set status = 'champion'
        insert into catalogue (kind, name) values ('group', 'x')
        delete from llm_calls
        {FORGED}
        {PENDING}
        update audit set detail = '{{}}'
        select * from chunks
        select * from messages
        insert into documents default values
        drop table tickets
        create table dbos.mine (id int)
    """,
    "rag": f"""
        select * from raw.texts
        select vault from raw.messages
        update raw.messages set text = ''
        select * from audit
        {APPEND}
        select * from decisions
        select * from outbox
        select * from history
        select * from ticket_vectors
        insert into api_keys default values
        select * from llm_calls
        {EXECUTORS}
        select * from dbos.operation_outputs
    """,
    "trainer": f"""
        select * from raw.texts
        update tickets set subject = ''
        delete from history
        select * from api_keys
        insert into labels default values
        select * from messages
        select * from outbox
        {FORGED}
        update catalogue set active = true
        select * from dbos.workflow_status
    """,
}
TABLES = """
select table_schema || '.' || table_name from information_schema.tables
where table_schema in ('public', 'raw') and table_type in ('BASE TABLE', 'VIEW')
"""
RIGHTS = """
select coalesce(json_agg(r order by r::text), '[]')::text from (
    select grantee, table_schema, table_name, column_name, privilege_type from information_schema.column_privileges
    where grantee = any(%(users)s)
    union all
    select r.rolname, n.nspname, p.proname, null, 'EXECUTE' from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace, pg_roles r
    where r.rolname = any(%(users)s) and n.nspname in ('public', 'raw') and p.prosecdef
      and has_function_privilege(r.rolname, p.oid, 'execute')) r
"""


@pytest.mark.parametrize("container", GRANTS)
def test_every_statement_of_a_container_is_allowed_to_it(container: str, server: Server) -> None:
    """Planned as its user: the server looks at every table and column that the statement names."""
    folders = [f"services/{container}", *(module for module, users in SHARED.items() if container in users)]
    refused, planned, unclear = [], 0, set()
    with psycopg.connect(server.of(container), autocommit=True) as conn:
        for module, statement in [one for folder in folders for one in statements(folder)]:
            if container == "gateway" and WORKERS_OWN in statement:
                continue
            try:
                conn.execute(f"explain {statement}".encode())
                planned += 1
            except InsufficientPrivilege as exc:
                refused.append(f"{module}: {exc.diag.message_primary}: {statement.strip()[:60]}")
            except psycopg.Error as exc:
                unclear.add((module, str(exc)[:80]))
    assert refused == []
    assert {module for module, _ in unclear} <= FRAGMENTS, unclear
    assert planned > len(unclear)


@pytest.mark.parametrize(
    ("container", "statement"),
    [(container, line.strip()) for container, lines in REFUSED.items() for line in lines.strip().splitlines()],
)
def test_what_a_container_may_not_do(container: str, statement: str, server: Server) -> None:
    """Refused by the server for want of a right, not for another mistake in it."""
    with pytest.raises(InsufficientPrivilege):
        server.run(container, statement)


def test_the_log_takes_entries_through_its_one_door(server: Server) -> None:
    """Who may append cannot forge, and the trigger refuses even the owner a change."""
    server.run("gateway", APPEND)
    assert server.run("worker", "select audit_link(100) > 0") == [(True,)]
    assert server.run("gateway", "select actor from audit_log order by seq desc limit 1") == [("a",)]
    for table in ("audit", "audit_pending"):
        with psycopg.connect(server.url) as owner, pytest.raises(RaiseException, match="append-only"):
            owner.execute(f"update {table} set actor = 'b'".encode())


def test_every_table_is_somebodys(server: Server) -> None:
    """A table that a new revision makes and nobody is granted shows here, not in production."""
    tables = {name for (name,) in server.run("postgres", TABLES)}
    granted = {what for rights in GRANTS.values() for what in rights}
    assert tables - granted == set(OPERATORS)
    assert {what for what in granted if what.startswith(("public.", "raw."))} <= tables


def test_running_it_again_changes_nothing_and_takes_back_what_is_not_granted(server: Server) -> None:
    """Somebody's grant by hand is gone after the next rollout."""
    users = {"users": sorted(GRANTS)}
    with psycopg.connect(server.url, autocommit=True) as conn:
        before = conn.execute(RIGHTS, users).fetchone()
        conn.execute("grant select on raw.texts to gateway")
        conn.execute("grant all on schema raw to router")
        assert conn.execute(RIGHTS, users).fetchone() != before
        done = server.migrate()
        assert done.returncode == 0, done.stderr
        assert conn.execute(RIGHTS, users).fetchone() == before


def asked(server: Server, statement: str) -> list[tuple]:
    """As the administrator."""
    with psycopg.connect(server.url, autocommit=True) as conn:
        cursor = conn.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_the_version_before_finds_a_newer_schema_and_leaves_it(server: Server) -> None:
    """A rollback: its migrator must end well, or its pods would wait for it for ever; the rights are its own again."""
    (revision,) = asked(server, "select version_num from schema_version")[0]
    asked(server, "update schema_version set version_num = '9999'")
    try:
        done = server.migrate(POINTSMAN_MIGRATOR_USERS=json.dumps({"gateway": "gateway"}))
        assert (done.returncode, "migrator.finished" in done.stdout + done.stderr) == (0, True), done.stderr
        assert asked(server, "select version_num from schema_version") == [("9999",)]
        assert server.run("gateway", "select count(*) from tickets")
    finally:
        asked(server, f"update schema_version set version_num = '{revision}'")


def test_a_first_key_comes_out_of_the_gateways_container(server: Server) -> None:
    """With the gateway's own rights: no administrator of the database is needed to enter the console."""
    given = os.environ | {"POINTSMAN_DATABASE_URL": server.of("gateway"), "POINTSMAN_COMPANY": "default"}
    command = [sys.executable, "-m", "services.gateway.key", "me", "--role", "admin"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    key_id = done.stdout.split("_")[1]
    assert asked(server, f"select name, role from api_keys where id = '{key_id}'") == [("me", "admin")]
    logged = asked(server, f"select action from audit_pending where subject = 'key/{key_id}'")
    assert logged == [("key.created",)]
    wrong = given | {"POINTSMAN_COMPANY": "globex"}
    refused = subprocess.run(command, env=wrong, capture_output=True, text=True, timeout=300, check=False)
    assert (refused.returncode, "belongs to" in refused.stderr) == (1, True)


CLOSED = (
    "number,title,text,team\nT1,VPN down,Call me: eva@example.org,Network\nT2,No beamer,In room 3,Workplace\nT3,,,\n"
)


def bring_in(server: Server, tmp_path: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    (tmp_path / "tmp").mkdir(exist_ok=True)
    given = os.environ | {
        "POINTSMAN_DATABASE_URL": server.of("worker"),
        "POINTSMAN_COMPANY": "default",
        "POINTSMAN_OBJECTS_URL": f"file://{tmp_path}",
        "TMPDIR": str(tmp_path / "tmp"),
    }
    command = [sys.executable, "-m", "services.worker.history", "--map", "group=team", *arguments]
    return subprocess.run(command, env=given, input=text, capture_output=True, text=True, timeout=300, check=False)


def test_history_comes_in_through_the_workers_container(server: Server, tmp_path: Path) -> None:
    """From standard input or the bucket, with the worker's own rights, redacted, and a second time to no effect."""
    (tmp_path / "imports").mkdir()
    (tmp_path / "imports" / "closed.csv").write_text(CLOSED, "utf-8")
    typed = bring_in(server, tmp_path, "--source", "closed", text=CLOSED)
    assert (typed.returncode, typed.stdout) == (0, ""), typed.stderr
    assert "line 4: no text" in typed.stderr
    assert "2 stored, 1 bad" in typed.stderr
    fetched = bring_in(server, tmp_path, "--object", "imports/closed.csv")
    assert "0 stored, 0 bad" in fetched.stderr, fetched.stderr
    query = "select external_id, body, \"group\" from history where source = 'closed' order by external_id"
    (first, second) = asked(server, query)
    assert (first[0], first[2]) == ("T1", "Network")
    assert "example.org" not in first[1]
    assert second == ("T2", "In room 3", "Workplace")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_file_that_is_none_is_refused_in_words(server: Server, tmp_path: Path) -> None:
    missing = bring_in(server, tmp_path, "--object", "imports/closed.csv")
    assert (missing.returncode, "holds no imports/closed.csv. Upload it" in missing.stderr) == (1, True)
    astray = bring_in(server, tmp_path, "--object", "../closed.csv")
    assert (astray.returncode, "names no object" in astray.stderr) == (1, True), astray.stderr
    empty = bring_in(server, tmp_path)
    assert (empty.returncode, "is empty" in empty.stderr) == (1, True)
    groupless = bring_in(server, tmp_path, text="id,text\n1,x\n")
    assert (groupless.returncode, "Traceback" in groupless.stderr) == (1, False)


def test_nobody_else_may_even_connect(server: Server) -> None:
    """A managed server lets every principal of its directory log in; this database does not take them."""
    with psycopg.connect(server.url, autocommit=True) as conn:
        conn.execute("create role passer_by login")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        server.run("passer_by", "select 1")


def test_containers_may_share_a_user_and_the_administrator_stays_whole(server: Server) -> None:
    """`small`: on two clouds the node is one user for all of them, and the administrator too."""
    users = '{"gateway": "node", "worker": "node", "router": "postgres"}'
    done = server.migrate(POINTSMAN_MIGRATOR_USERS=users)
    assert done.returncode == 0, done.stderr
    for user, table in (("node", "raw.texts"), ("node", "api_keys"), ("postgres", "raw.messages")):
        assert len(server.run(user, f"select count(*) from {table}")) == 1


def test_each_cloud_makes_users_in_its_own_words(server: Server) -> None:
    """RDS by a membership, Entra by a function of the maintenance database, Cloud SQL not at all."""
    from services.core.kit.errors import ConfigurationInvalid
    from services.migrator.users import MAKERS

    names = sql.Identifier("of_rds"), sql.Identifier("of_entra")
    with psycopg.connect(server.url, autocommit=True) as conn:
        conn.execute("create role rds_iam")
        MAKERS["aws-secret"](server.url, conn, "of_rds")
        assert conn.execute("select pg_has_role('of_rds', 'rds_iam', 'member')").fetchone() == (True,)
        with pytest.raises(ConfigurationInvalid, match=r"no user 'of_google'.*pulumi up"):
            MAKERS["gcp-iam"](server.url, conn, "of_google")
        with psycopg.connect(server.url.replace("/pointsman", "/postgres"), autocommit=True) as maintenance:
            maintenance.execute(ENTRA)
        MAKERS["entra"](server.url, conn, "of_entra")
        assert conn.execute("select 1 from pg_roles where rolname = 'of_entra'").fetchone() == (1,)
        for name in names:
            conn.execute(sql.SQL("drop role {}").format(name))


ENTRA = """
create function pgaadauth_create_principal(role_name text, is_admin boolean, is_mfa boolean) returns text
language plpgsql as $$ begin execute format('create role %I login', role_name); return 'Created'; end $$
"""


def test_one_who_is_no_administrator_is_told_so(server: Server) -> None:
    done = server.migrate(POINTSMAN_DATABASE_URL=server.of("gateway"))
    assert done.returncode == 1
    assert "administrator" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("container", ["gateway", "worker", "rag"])
async def test_each_that_takes_tickets_in_may(container: str, server: Server) -> None:
    """A delivery, its raw text and its workflow, and newer text for it, which is told apart without being read."""
    first, second = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    ticket = Ticket(connector="generic", external_id=container, subject="vpn", body="down")
    delivery = Delivery(
        connector="generic",
        delivery_id=f"{container}-1",
        external_id=container,
        kind=DeliveryKind.CREATED,
        occurred_at=first,
        ticket=ticket,
    )
    changed = {"delivery_id": f"{container}-2", "kind": DeliveryKind.UPDATED, "occurred_at": second}
    newer = delivery.model_copy(update=changed | {"ticket": ticket.model_copy(update={"body": "up"})})
    async with build_pool(server.of(container), min_size=1, max_size=1) as pool, connection(pool) as conn:
        for one in (delivery, newer, newer):
            await ingest(conn, one, body_sha256="")
    told = "select workflow_uuid from dbos.workflow_status where workflow_uuid like 'retold:%%' || %s || '-2'"
    with psycopg.connect(server.url) as conn:
        assert len(conn.execute(told, (container,)).fetchall()) == 1
