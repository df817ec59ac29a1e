"""PostgreSQL: pools for psycopg 3, and the migrations of our schema and of the workflow engine's."""

import asyncio
import select
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from services.core.kit import login, schema
from services.core.kit.errors import ConfigurationInvalid, DatabaseUnavailable
from services.core.kit.locks import Lock

if TYPE_CHECKING:
    import sqlalchemy as sa

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]

# A vanished host is noticed within some 20 s, in use (user timeout) and idle (keepalives); the system's own default
# is a quarter of an hour and more. Source: PostgreSQL 18 manual, 32.1.2.
TCP_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 20_000}
LOCK_RETRY_S = 0.2
TIMEOUTS = """
select set_config('statement_timeout', %s, false), set_config('idle_in_transaction_session_timeout', %s, false)
"""
STATEMENT_TIMEOUT_S = 60.0  # for work that nobody waits for; where somebody does, a pool asks for less
IDLE_IN_TRANSACTION_S = 60.0  # ends a transaction whose process hangs: its locks would hold up everybody
# On the engine's tables, which it makes itself: an erasure finds the workflows of a ticket.
ENGINE_INDEX = """
create index if not exists pointsman_workflows_of_ticket on dbos.workflow_status (split_part(workflow_uuid, ':', 2))
"""
POOL_TIMEOUT_S = 5.0  # a webhook sender gives up after 10 s (Zendesk); answer 503 well before


def build_pool(
    database_url: str,
    *,
    company: str | None = None,
    min_size: int = 2,
    max_size: int = 10,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
) -> Pool:
    """
    A pool that is not open yet: rows come as dicts, each statement commits unless a transaction is opened.

    With `company` it never lends a connection to another company's database.
    """
    return AsyncConnectionPool[Connection](
        partial(_resolve, database_url),  # asked for each new connection: a token of an hour ago opens nothing
        min_size=min_size,
        max_size=max_size,
        timeout=POOL_TIMEOUT_S,
        open=False,
        check=_is_alive,
        configure=partial(_set_up, company, statement_timeout_s),
        kwargs={"autocommit": True, "row_factory": dict_row, "prepare_threshold": 2, **TCP_ALIVE},
    )


async def _resolve(database_url: str) -> str:
    return await asyncio.to_thread(login.resolve, database_url)


async def _is_alive(conn: Connection) -> None:
    """
    Asks the socket whether the server has hung up, as it does when it stops, and only then the server itself.

    A round trip for every use would cost as much as a short statement. A server that vanished without a word is
    noticed by TCP_ALIVE.
    """
    socket = select.poll()
    socket.register(conn.fileno(), select.POLLIN)
    if socket.poll(0):
        await conn.execute("")


async def _set_up(company: str | None, statement_timeout_s: float, conn: Connection) -> None:
    await conn.execute(TIMEOUTS, (_ms(statement_timeout_s), _ms(IDLE_IN_TRANSACTION_S)))
    if company is None:
        return
    problem = (await schema.look_async(conn)).foreign(company)
    if problem is not None:
        raise problem


def _ms(seconds: float) -> str:
    return str(int(seconds * 1000))


@asynccontextmanager
async def connection(pool: Pool) -> AsyncGenerator[Connection]:
    """
    A pooled connection.

    Raises:
        DatabaseUnavailable: none could be had in time, or it broke while in use.
    """
    try:
        async with pool.connection() as conn:
            yield conn
    except PoolTimeout as exc:
        raise DatabaseUnavailable("PostgreSQL does not answer. Check POINTSMAN_DATABASE_URL and that it runs.") from exc
    except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction) as exc:  # read-only: failover, full disk
        reason = f"{type(exc).__name__}{f' {exc.sqlstate}' if exc.sqlstate else ''}"
        raise DatabaseUnavailable(f"PostgreSQL could not carry this out ({reason}). Its own log says why.") from exc
    except psycopg.ProgrammingError as exc:  # a mistake of ours, unless the statement is newer than the tables
        async with pool.connection() as conn:
            outdated = (await schema.look_async(conn)).outdated()
        if outdated is None:
            raise
        raise outdated from exc


def migrate(database_url: str, company: str = "default", *, to: str = "head") -> None:
    """
    Brings our schema and the workflow engine's up to date; safe to call from several processes at once.

    A fresh database becomes `company`'s. One that a newer version has migrated is left as it is: a revision has no way
    back, and this version works with what it does not know.

    Raises:
        ConfigurationInvalid: the database is another company's, or holds several tenants: nothing was changed.
    """
    import sqlalchemy as sa
    import sqlalchemy.exc
    from alembic import command
    from alembic.config import Config
    from dbos import DBOS

    schema.refuse_foreign(database_url, company)
    url = sqlalchemy_url(login.resolve(database_url))  # good for minutes: every connection is made at the beginning
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        with engine.connect() as conn:
            # Asked for again and again, not waited for: the engine's migration makes indexes concurrently, which waits
            # for every open statement, and PostgreSQL would not see that the two wait for each other.
            while not conn.execute(sa.text(f"select pg_try_advisory_lock({Lock.MIGRATION})")).scalar():
                conn.commit()
                time.sleep(LOCK_RETRY_S)
            conn.commit()  # the lock belongs to the session; the migration gets a transaction of its own
            config = Config()
            config.set_main_option("script_location", str(schema.MIGRATIONS))
            config.attributes.update(connection=conn, company=company)
            if _is_newer(conn):
                return
            command.upgrade(config, to)
            conn.commit()
            DBOS.migrate(url)
            conn.execute(sa.text(ENGINE_INDEX))
            conn.commit()
        schema.refuse_foreign(database_url, company)  # another process may have been first
    except sa.exc.OperationalError as exc:
        raise DatabaseUnavailable(f"PostgreSQL does not answer, so it cannot be migrated: {exc.orig}") from exc
    except sa.exc.ProgrammingError as exc:
        if not isinstance(exc.orig, psycopg.errors.InsufficientPrivilege):
            raise
        raise ConfigurationInvalid(f"Only the database's administrator can migrate it: {exc.orig}") from exc
    finally:
        engine.dispose()


def _is_newer(conn: "sa.Connection") -> bool:
    """A rollback comes this way: the version before finds a revision that none of its files has."""
    import sqlalchemy as sa

    if conn.execute(sa.text("select to_regclass('schema_version')")).scalar() is None:
        return False
    revision = conn.execute(sa.text(schema.REVISION)).scalar()
    conn.commit()
    return revision is not None and revision > schema.NEEDED


def sqlalchemy_url(database_url: str) -> str:
    """The same address in SQLAlchemy's spelling, with psycopg 3 as its driver."""
    scheme, _, rest = database_url.partition("://")
    if not scheme.startswith("postgres"):
        raise DatabaseUnavailable(f"Not a PostgreSQL address: scheme '{scheme}'. Use postgresql://user@host/database.")
    return f"postgresql+psycopg://{rest}"
