"""One run: schema to its head, users, grants. Run again it changes nothing; a right that is gone from the list goes."""

from collections.abc import Iterable, Mapping

import structlog
from psycopg import Connection, sql

from services.core.kit import login
from services.core.kit.database import migrate
from services.migrator import users
from services.migrator.grants import GRANTS, Rights

log = structlog.get_logger()

SCHEMAS = ("public", "raw", "dbos")


def run(database_url: str, company: str, names: Mapping[str, str]) -> None:
    """
    Args:
        names: the database user of each container; several may share one (the node's, in `small`).

    Raises:
        PointsmanError: what is in the way, and the fix.
    """
    migrate(database_url, company)
    with login.connect(database_url, autocommit=True) as conn:
        for user in sorted(set(names.values())):
            users.make(database_url, conn, user)
        with conn.transaction():  # nobody is without rights for a moment
            granted = grant(conn, names)
    log.info("migrator.finished", company=company, users=granted)


def grant(conn: Connection, names: Mapping[str, str]) -> list[str]:
    """Who holds what is in GRANTS now. The administrator owns everything: a user that is him is left alone."""
    (me, database), *_ = conn.execute("select current_user, current_database()")
    shared = {user: [GRANTS[name] for name in names if names[name] == user] for user in names.values() if user != me}
    _run(conn, "revoke all on database {} from public", [database])
    for user, rights in shared.items():
        _close(conn, user)
        _run(conn, "grant connect on database {} to {}", [database, user])
        for one in rights:
            _open(conn, user, one)
    return sorted(shared)


def _close(conn: Connection, user: str) -> None:
    """All of ours; functions of extensions belong to the server and are everybody's."""
    for schema in SCHEMAS:
        _run(conn, "revoke all on all tables in schema {} from {}", [schema, user])
        _run(conn, "revoke all on all sequences in schema {} from {}", [schema, user])
        _run(conn, "revoke all on schema {} from {}", [schema, user])
    for function in sorted({what for rights in GRANTS.values() for what in rights if what.startswith("function ")}):
        _run(conn, f"revoke all on {function} from {{}}", [user])


def _open(conn: Connection, user: str, rights: Rights) -> None:
    for schema in SCHEMAS:
        if any(f"{schema}." in what or what.endswith(f" {schema}") for what in rights):
            _run(conn, "grant usage on schema {} to {}", [schema, user])
    for what, privileges in rights.items():
        _run(conn, f"grant {privileges} on {what} to {{}}", [user])


def _run(conn: Connection, statement: str, names: Iterable[str]) -> None:
    conn.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # ty: ignore[invalid-argument-type]  # our own words
