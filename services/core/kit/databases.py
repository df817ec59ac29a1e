"""Databases beside this one on the same server: a company has one of its own."""

import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import psycopg
from psycopg import Connection, errors, sql

from services.core.kit import login, schema
from services.core.kit.database import migrate
from services.core.kit.errors import Conflict, DatabaseUnavailable, InputInvalid, NotFound

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")  # needs no quoting, wherever it is typed

# Of revision 0001. What hangs on a ticket goes with it.
WITH_TENANT = (
    *("tickets", "deliveries", "catalogue", "models", "api_keys", "history", "history_imports"),
    *("llm_calls", "llm_cache", "ticket_vectors", "desk_tickets"),
)
ORPHANS = """
delete from dbos.workflow_status
where split_part(workflow_uuid, ':', 2) not in (select id::text from tickets);
delete from executors;
"""
HEAD = "select (select seq || ':' || hash from audit order by seq desc limit 1)"
NEW_CHAIN = """
alter table audit disable trigger audit_append_only;
delete from audit;
alter table audit enable trigger audit_append_only;
"""


def create(database_url: str, name: str, company: str) -> str:
    """
    A migrated database `name` for `company` on the server of `database_url`; its address. Again changes nothing.

    Raises:
        InputInvalid: not a name for a database. ConfigurationInvalid: it exists and belongs to another company.
    """
    with (
        _server(database_url, name) as conn,
        suppress(errors.DuplicateDatabase),
    ):  # made before, perhaps by a run that ended early: migrating finishes it
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    url = address(database_url, name)
    migrate(url, company)
    return url


def split(database_url: str, tenant: str, name: str) -> str:
    """
    A copy `name` of a database of several tenants that keeps the rows of `tenant` only, migrated; its address.

    The audit log of several cannot be divided: the copy's begins anew, with the head of the old one as its anchor.

    Raises:
        NotFound: the tenant has no rows. Conflict: `name` exists, or containers still use the database.
    """
    with _server(database_url, name) as conn, login.connect(database_url, autocommit=True) as old:
        if schema.look(old).revision != "0001":
            raise Conflict("This database has no tenants any more, so there is nothing to split.")
        if old.execute("select 1 from tickets where tenant = %s limit 1", (tenant,)).fetchone() is None:
            raise NotFound(f"No ticket of this database belongs to a tenant '{tenant}'.")
        old.close()  # a database in use cannot be copied
        _copy(conn, urlsplit(database_url).path.strip("/"), name)
    url = address(database_url, name)
    try:
        with login.connect(url) as copy:
            _keep(copy, tenant)
        migrate(url, tenant)
    except BaseException:
        with _server(database_url, name) as conn:
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        raise
    return url


def address(database_url: str, name: str) -> str:
    """The same server and user, another database."""
    return urlsplit(database_url)._replace(path=f"/{name}").geturl()


def _copy(conn: Connection, old: str, name: str) -> None:
    statement = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(old))
    try:
        conn.execute(statement)
    except errors.DuplicateDatabase as exc:
        raise Conflict(f"A database {name} exists already. Choose another: --name NAME") from exc
    except errors.ObjectInUse as exc:
        raise Conflict(f"The database {old} is in use. Stop gateway, worker, router and trainer first.") from exc


def _keep(conn: Connection, tenant: str) -> None:
    for table in WITH_TENANT:
        conn.execute(sql.SQL("delete from {} where tenant <> %s").format(sql.Identifier(table)), (tenant,))
    conn.execute(ORPHANS)
    (head,) = conn.execute(HEAD).fetchone() or (None,)
    conn.execute(NEW_CHAIN)
    conn.execute(
        "select audit_append(%s, 'operator', 'database.split', 'platform', jsonb_build_object('head', %s::text))",
        (tenant, head),
    )


@contextmanager
def _server(database_url: str, name: str) -> Generator[Connection]:
    """A connection to the server's maintenance database."""
    if not NAME.fullmatch(name):
        raise InputInvalid(f"'{name}' cannot name a database: a small letter, then letters, digits and _, at most 63.")
    try:
        with login.connect(address(database_url, "postgres"), autocommit=True, connect_timeout=5) as conn:
            yield conn
    except psycopg.OperationalError as exc:
        raise DatabaseUnavailable(f"PostgreSQL does not answer: {exc}. Check POINTSMAN_DATABASE_URL.") from exc
    except errors.InsufficientPrivilege as exc:
        raise Conflict(
            f"This user may not make databases. As an administrator: alter role ... createdb ({exc})."
        ) from exc
