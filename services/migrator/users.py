"""Makes the containers' database users in the words of the server they live on. None has a password."""

from collections.abc import Callable

from psycopg import Connection, sql

from services.core.kit import databases, login
from services.core.kit.errors import ConfigurationInvalid

FIND = "select 1 from pg_roles where rolname = %s"


def make(database_url: str, conn: Connection, user: str) -> None:
    """
    A user that may log in; one that is there stays as it is.

    Raises:
        ConfigurationInvalid: the cloud makes its users itself, and has not made this one.
    """
    if conn.execute(FIND, (user,)).fetchone() is None:
        MAKERS[login.way_of(database_url)](database_url, conn, user)


def _plain(_: str, conn: Connection, user: str) -> None:
    conn.execute(sql.SQL("create role {} login").format(sql.Identifier(user)))


def _of_rds(database_url: str, conn: Connection, user: str) -> None:
    """Members of rds_iam log in with a token of their role, and with nothing else."""
    _plain(database_url, conn, user)
    conn.execute(sql.SQL("grant rds_iam to {}").format(sql.Identifier(user)))


def _of_entra(database_url: str, _: Connection, user: str) -> None:
    """The function stands in the server's maintenance database: principals belong to the server."""
    with login.connect(databases.address(database_url, "postgres"), autocommit=True) as server:
        server.execute("select pgaadauth_create_principal(%s, false, false)", (user,))


def _given(_: str, __: Connection, user: str) -> None:
    raise ConfigurationInvalid(
        f"The database has no user '{user}'. Cloud SQL makes users from service accounts: run `pulumi up` in "
        "infra/stacks/gcp, or correct POINTSMAN_MIGRATOR_USERS."
    )


MAKERS: dict[str, Callable[[str, Connection, str], None]] = {
    "": _plain,
    "aws-iam": _of_rds,
    "aws-secret": _of_rds,
    "entra": _of_entra,
    "gcp-iam": _given,
}
