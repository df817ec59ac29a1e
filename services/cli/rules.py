"""Rules that are data: a TOML file that a contract reads, kept and audited; the newest holds."""

import tomllib
from pathlib import Path
from typing import TypeVar

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from services.core.contracts.base import Contract
from services.core.kit import audit
from services.core.kit.errors import InputInvalid

KEEP = "insert into watch_rules (kind, rules, by) values (%s, %s, 'operator')"
NEWEST = "select rules from watch_rules where kind = %s order by id desc limit 1"

Rules = TypeVar("Rules", bound=Contract)


def read_toml(file: Path, contract: type[Rules]) -> Rules:
    """
    Raises:
        InputInvalid: no TOML, or not as the contract says; names where.
    """
    try:
        return contract.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InputInvalid(f"{file} cannot be read: {exc}.") from exc
    except ValidationError as exc:
        problems = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in exc.errors(include_input=False))
        raise InputInvalid(f"{file}: {'; '.join(problems)}") from exc


def keep(conn: psycopg.Connection, kind: str, rules: Contract) -> None:
    """With an entry in the audit log, in one transaction."""
    told = rules.model_dump(mode="json")
    with conn.transaction():
        conn.execute(KEEP, (kind, Jsonb(told)))
        audit.append_now(conn, audit.Entry("operator", f"{kind}.changed", kind, told))


def newest(conn: psycopg.Connection, kind: str, contract: type[Rules]) -> Rules:
    """Those that hold; the contract's own where nobody set any."""
    row = conn.cursor(row_factory=dict_row).execute(NEWEST, (kind,)).fetchone()
    return contract.model_validate(row["rules"]) if row else contract()
