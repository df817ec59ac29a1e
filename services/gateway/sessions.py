"""
A browser's session: for a one-time link or an API key, a key that ends by itself and with the one it was opened for.

Each link, session and logout is in the audit log, under the key it belongs to.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import LiteralString

from psycopg.rows import DictRow

from services.core.kit import audit
from services.core.kit.database import Connection
from services.core.kit.errors import Unauthenticated
from services.core.kit.security import id_of

LINK_LIFE = timedelta(minutes=10)
SESSION_LIFE = timedelta(hours=12)  # a working day

PUT_LINK = """
with gone as (delete from console_links where expires_at < now()),
holder as (select id, name from api_keys where id = %(key)s and opened_by is null and revoked_at is null),
link as (
    insert into console_links (secret_hash, opened_by, expires_at) select %(link)s, id, now() + %(life)s from holder)
select name, id as opened_by from holder
"""
# The link is gone with the statement that uses it: of two that use it at once one gets nothing.
FOLLOW_LINK: LiteralString = """
with link as (delete from console_links where secret_hash = %(link)s returning opened_by, expires_at),
gone as (delete from api_keys where expires_at < now())
insert into api_keys (id, name, secret_hash, role, opened_by, expires_at)
select %(id)s, k.name, %(secret)s, k.role, k.id, now() + %(life)s
from link join api_keys k on k.id = link.opened_by and k.revoked_at is null
where link.expires_at > now() returning name, opened_by
"""
OPEN_FOR_KEY: LiteralString = """
with gone as (delete from api_keys where expires_at < now())
insert into api_keys (id, name, secret_hash, role, opened_by, expires_at)
select %(id)s, k.name, %(secret)s, k.role, k.id, now() + %(life)s
from api_keys k where k.id = %(key)s and k.revoked_at is null and k.opened_by is null returning name, opened_by
"""
END = "delete from api_keys where secret_hash = %s and opened_by is not null returning name, opened_by"


async def create_link(conn: Connection, key: str) -> str:
    """The secret of a new link that opens one session with the name and role of `key`, which is a valid API key."""
    secret = secrets.token_urlsafe(32)
    async with conn.transaction():
        values = {"link": _digest(secret), "life": LINK_LIFE, "key": id_of(key)}
        row = await (await conn.execute(PUT_LINK, values)).fetchone()
        if row is not None:
            await _tell(conn, "session.link_made", row)
    return secret


async def follow_link(conn: Connection, link: str) -> str:
    """
    The session's key, for a cookie.

    Raises:
        Unauthenticated: the link was used, is too old, or never was one.
    """
    session = await _open(conn, FOLLOW_LINK, {"link": _digest(link)}, by="link")
    if session is None:
        raise Unauthenticated("This link was used or is older than ten minutes. Make one with: pointsman console")
    return session


async def open_session(conn: Connection, key: str) -> str:
    """
    A session's key for a valid API key, which itself stays out of the cookie.

    Raises:
        Unauthenticated: it was revoked this moment.
    """
    session = await _open(conn, OPEN_FOR_KEY, {"key": id_of(key)}, by="key")
    if session is None:
        raise Unauthenticated("This API key was revoked.")
    return session


async def end_session(conn: Connection, session: str) -> None:
    """Its value opens nothing any more, wherever it was copied to. An API key is not ended by this."""
    async with conn.transaction():
        row = await (await conn.execute(END, (_digest(session.split("_", 2)[-1]),))).fetchone()
        if row is not None:
            await _tell(conn, "session.ended", row)


async def _open(conn: Connection, statement: LiteralString, values: dict[str, str], *, by: str) -> str | None:
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    new = {"id": key_id, "secret": _digest(secret), "life": SESSION_LIFE}
    async with conn.transaction():
        row = await (await conn.execute(statement, values | new)).fetchone()
        if row is None:
            return None
        await _tell(conn, "session.opened", row, by=by)
    return f"pm_{key_id}_{secret}"


async def _tell(conn: Connection, action: str, row: DictRow, **detail: str) -> None:
    await audit.append(conn, audit.Entry(f"user/{row['name']}", action, f"key/{row['opened_by']}", detail))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
