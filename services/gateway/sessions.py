"""A browser's session: a one-time link becomes a key that ends by itself, and with the key that asked for the link."""

import hashlib
import secrets
from datetime import timedelta

from services.core.kit.database import Connection
from services.core.kit.errors import Unauthenticated

LINK_LIFE = timedelta(minutes=10)
SESSION_LIFE = timedelta(hours=12)  # a working day

PUT_LINK = """
with gone as (delete from console_links where expires_at < now())
insert into console_links (secret_hash, opened_by, expires_at)
select %s, id, now() + %s from api_keys where id = %s and opened_by is null
"""
# The link is gone with the statement that uses it: of two that use it at once one gets nothing.
USE_LINK = """
with link as (delete from console_links where secret_hash = %(link)s returning opened_by, expires_at),
gone as (delete from api_keys where expires_at < now())
insert into api_keys (id, name, secret_hash, role, opened_by, expires_at)
select %(id)s, k.name, %(secret)s, k.role, k.id, now() + %(life)s
from link join api_keys k on k.id = link.opened_by and k.revoked_at is null
where link.expires_at > now() returning id
"""
END = "delete from api_keys where secret_hash = %s and opened_by is not null"


async def create_link(conn: Connection, key: str) -> str:
    """The secret of a new link that opens one session with the name and role of `key`, which is a valid API key."""
    secret = secrets.token_urlsafe(32)
    await conn.execute(PUT_LINK, (_digest(secret), LINK_LIFE, key.split("_", 2)[1]))
    return secret


async def open_session(conn: Connection, link: str) -> str:
    """
    The session's key, for a cookie.

    Raises:
        Unauthenticated: the link was used, is too old, or never was one.
    """
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    values = {"link": _digest(link), "id": key_id, "secret": _digest(secret), "life": SESSION_LIFE}
    if await (await conn.execute(USE_LINK, values)).fetchone() is None:
        raise Unauthenticated("This link was used or is older than ten minutes. Make one with: pointsman console")
    return f"pm_{key_id}_{secret}"


async def end_session(conn: Connection, session: str) -> None:
    """Its value opens nothing any more, wherever it was copied to. An API key is not ended by this."""
    await conn.execute(END, (_digest(session.split("_", 2)[-1]),))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
