"""API keys and roles. A key is `pm_<id>_<secret>`; only a hash of the secret is stored."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from psycopg import AsyncConnection, Connection

from services.core.kit import audit
from services.core.kit.errors import Forbidden, KeyMissing, Unauthenticated

SECRET_BYTES = 32  # random, so a plain hash is enough: there is nothing to guess


class Role(IntEnum):
    """Each role may do all that the ones below it may."""

    VIEWER = 1
    AGENT = 2
    ADMIN = 3


@dataclass(frozen=True)
class Principal:
    """Who calls."""

    name: str
    role: Role


def create_key(conn: Connection, *, name: str, role: Role) -> str:
    """A new key; this is the only time its secret can be seen. That it was made is in the audit log."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(SECRET_BYTES)
    with conn.transaction():
        conn.execute(
            "insert into api_keys (id, name, secret_hash, role) values (%s, %s, %s, %s)",
            (key_id, name, _digest(secret), role.name.lower()),
        )
        detail = {"name": name, "role": role.name.lower()}
        audit.append_now(conn, audit.Entry("operator", "key.created", f"key/{key_id}", detail))
    return f"pm_{key_id}_{secret}"


async def authenticate(conn: AsyncConnection[Any], key: str | None, *, takes_session: bool = False) -> Principal:
    """
    The holder of `key`; of a browser's session where `takes_session`. Neither is taken for the other: a key in a
    cookie would outlive every logout.

    Raises:
        Unauthenticated: no key, or not one that is valid now.
    """
    if not key:
        raise KeyMissing("No API key. Send the header `Authorization: Bearer pm_...` or `X-API-Key: pm_...`.")
    key_id = id_of(key)
    if not key_id:
        raise Unauthenticated("This is not an API key of Pointsman: it reads pm_ID_SECRET.")
    cursor = await conn.execute(
        "select name, secret_hash, role from api_keys where id = %s and revoked_at is null"
        " and (expires_at is null or expires_at > now()) and (opened_by is not null) = %s",
        (key_id, takes_session),
    )
    row = await cursor.fetchone()
    # Compare even when the id is unknown, so that the time taken does not tell which ids exist.
    is_right = hmac.compare_digest(row["secret_hash"] if row else _digest(""), _digest(_parts(key)[2]))
    if row is None or not is_right:
        raise Unauthenticated("This API key is not known or was revoked. Make one with: pointsman keys create NAME")
    return Principal(name=row["name"], role=Role[row["role"].upper()])


async def secret_hashes(conn: AsyncConnection[Any]) -> dict[str, str]:
    """The hash of each key that is valid now, by the key's id."""
    cursor = await conn.execute(
        "select id, secret_hash from api_keys where revoked_at is null and (expires_at is null or expires_at > now())"
    )
    return {row["id"]: row["secret_hash"] for row in await cursor.fetchall()}


def holds(secret_hashes: Mapping[str, str], key: str) -> bool:
    """Whether `key` is one of those with these hashes."""
    _, key_id, secret = _parts(key)
    return hmac.compare_digest(secret_hashes.get(key_id, _digest("")), _digest(secret)) and key_id in secret_hashes


def key_in(headers: Mapping[str, str]) -> str | None:
    """The key that a call brings, in either header; None when it brings none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else headers.get("x-api-key")


def id_of(key: str) -> str:
    """What names a key without opening anything; empty where it is no key."""
    prefix, key_id, secret = _parts(key)
    return key_id if prefix == "pm" and secret and "\0" not in key_id else ""


def require(principal: Principal, role: Role) -> None:
    """
    Raises:
        Forbidden: the principal's role is below `role`.
    """
    if principal.role < role:
        raise Forbidden(f"This needs the role {role.name.lower()}; {principal.name} is {principal.role.name.lower()}.")


def _parts(key: str) -> tuple[str, str, str]:
    prefix, key_id, secret = [*key.split("_", 2), "", ""][:3]
    return prefix, key_id, secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
