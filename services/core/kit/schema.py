"""Which revision of our schema a database has, and whose database it is: asked before anything works on it."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import UndefinedTable
from psycopg.rows import tuple_row

from services.core.kit.errors import ConfigurationInvalid, DatabaseUnavailable, PointsmanError
from services.core.kit.login import connect, resolve
from services.core.kit.settings import EXAMPLES, PlatformSettings

MIGRATIONS = Path(__file__).with_name("migrations")
NEEDED = max(file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))
CONNECT_TIMEOUT_S = 5

REVISION = "select version_num from schema_version"
COMPANY = "select name from company"


@dataclass(frozen=True)
class Found:
    """`revision` is None in a database that was never migrated, `company` in one older than revision 0002."""

    revision: str | None = None
    company: str | None = None

    def foreign(self, company: str) -> ConfigurationInvalid | None:
        """Why a container of `company` must not touch this database."""
        if self.company in (None, company):
            return None
        return ConfigurationInvalid(
            f"The database belongs to '{self.company}', this process is configured for '{company}'. Point "
            f"POINTSMAN_DATABASE_URL at the database of '{company}', or set POINTSMAN_COMPANY={self.company}."
        )

    def outdated(self) -> DatabaseUnavailable | None:
        """Why this version cannot work with this database yet."""
        if self.revision is not None and self.revision >= NEEDED:
            return None
        has = f"is at revision {self.revision}" if self.revision else "was never migrated"
        return DatabaseUnavailable(
            f"The database {has}, this version needs revision {NEEDED}. Run: pointsman database migrate"
        )

    def problem(self, company: str) -> PointsmanError | None:
        return self.foreign(company) or self.outdated()


def look(conn: Connection[Any]) -> Found:
    """What the database is; the connection commits each statement."""
    cursor, found = conn.cursor(row_factory=tuple_row), Found()
    try:
        found = Found(*(cursor.execute(REVISION).fetchone() or ()))
        return Found(found.revision, *(cursor.execute(COMPANY).fetchone() or ()))
    except UndefinedTable:
        return found


async def look_async(conn: AsyncConnection[Any]) -> Found:
    """As `look`."""
    cursor, found = conn.cursor(row_factory=tuple_row), Found()
    try:
        found = Found(*(await (await cursor.execute(REVISION)).fetchone() or ()))
        return Found(found.revision, *(await (await cursor.execute(COMPANY)).fetchone() or ()))
    except UndefinedTable:
        return found


@contextmanager
def connected(settings: PlatformSettings, *, advice: str = "Check POINTSMAN_DATABASE_URL.") -> Generator[Connection]:
    """
    A connection of one's own database, of which each statement commits. `advice`: what to do when it goes away.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer, went away, or is not migrated.
        ConfigurationInvalid: POINTSMAN_DATABASE_URL is no address, or of another company's database.
    """
    url = settings.database_url.get_secret_value()
    try:
        conninfo_to_dict(resolve(url))
    except psycopg.ProgrammingError as exc:
        raise _no_address() from exc
    try:
        with connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as conn:
            if (problem := look(conn).problem(settings.company)) is not None:
                raise problem
            yield conn
    except psycopg.OperationalError as exc:
        raise DatabaseUnavailable(f"PostgreSQL does not answer: {exc}. {advice}") from exc


def _no_address() -> ConfigurationInvalid:
    example = EXAMPLES["POINTSMAN_DATABASE_URL"]
    return ConfigurationInvalid(f"POINTSMAN_DATABASE_URL is no address. Write it like {example}")


def refuse_foreign(database_url: str, company: str) -> None:
    """
    For the start of a container. A database that does not answer yet is let pass: each new connection asks again.

    Raises:
        ConfigurationInvalid: the database is another company's.
    """
    try:
        with connect(database_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as conn:
            problem = look(conn).foreign(company)
    except psycopg.OperationalError:
        return
    except psycopg.ProgrammingError as exc:
        raise _no_address() from exc
    if problem is not None:
        raise problem
