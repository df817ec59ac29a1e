"""Rules that are data: a TOML file that a contract reads, kept and audited; the newest holds."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import psycopg
import typer
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from services.cli.output import Format, FormatOption, pairs, print_json, print_table
from services.cli.target import open_platform
from services.core.contracts.base import Contract
from services.core.kit import audit
from services.core.kit.errors import InputInvalid
from services.core.kit.schema import connected

KEEP = "insert into watch_rules (kind, rules, by) values (%s, %s, 'operator')"
NEWEST = "select rules from watch_rules where kind = %s order by id desc limit 1"

Rules = TypeVar("Rules", bound=Contract)


def add_commands(
    app: typer.Typer,
    command: str,
    kind: str,
    contract: type[Rules],
    *,
    change: str,
    say: Callable[[Rules], str],
    derive: Callable[[Rules], dict[str, Any]] = lambda rules: {},
) -> None:
    """
    `import` and `show` for rules of this kind.

    Args:
        command: of the group. change: what an import is for. say: what holds after it. derive: what is shown beside.
    """

    @app.command("import", help=f"{change}\n\nExamples:\n\n  pointsman {command} import {kind}.toml")
    def import_rules(
        file: Annotated[Path, typer.Argument(help="TOML; what it does not name stays as it is now.")],
    ) -> None:
        _read(file)  # before a database is started for it
        with open_platform() as settings, connected(settings) as conn:
            held = newest(conn, kind, contract)
            chosen = over(held, file)
            changes = list(_changes(held, chosen))
            if changes:
                keep(conn, kind, chosen)
        typer.echo("\n".join(changes or [f"Nothing changes: {file} names nothing that is not so already."]))
        typer.echo(say(chosen))

    @app.command("show", help=f"The rules that hold.\n\nExamples:\n\n  pointsman {command} show --format json")
    def show(format: FormatOption = Format.TABLE) -> None:
        with open_platform() as settings, connected(settings) as conn:
            rules = newest(conn, kind, contract)
        facts = rules.model_dump(mode="json") | derive(rules)
        print_json(facts) if format is Format.JSON else print_table(("", ""), pairs(facts))


def read_toml(file: Path, contract: type[Rules]) -> Rules:
    """
    Raises:
        InputInvalid: no TOML, or not as the contract says; names where.
    """
    return _parse(file, contract, _read(file))


def over(held: Rules, file: Path) -> Rules:
    """
    The rules that would hold after an import of `file`.

    Raises:
        InputInvalid: no TOML, or not as the contract says; names where.
    """
    return _parse(file, type(held), _over(held.model_dump(mode="json"), _read(file)))


def keep(conn: psycopg.Connection, kind: str, rules: Contract) -> None:
    """With an entry in the audit log, in one transaction."""
    told = rules.model_dump(mode="json")
    with conn.transaction():
        conn.execute(KEEP, (kind, Jsonb(told)))
        audit.append_now(conn, audit.Entry("operator", f"{kind}.changed", kind, told))


def newest(conn: psycopg.Connection, kind: str, contract: type[Rules]) -> Rules:
    """Those that hold; the contract's own where nobody set any."""
    row = conn.cursor(row_factory=dict_row).execute(NEWEST, (kind,)).fetchone()
    return contract.stored(row["rules"]) if row else contract()


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as exc:
        raise InputInvalid(f"{file} cannot be read: {exc.strerror}.") from exc
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InputInvalid(f"{file} is no TOML: {exc}.") from exc


def _parse(file: Path, contract: type[Rules], values: dict[str, Any]) -> Rules:
    try:
        return contract.model_validate(values)
    except ValidationError as exc:
        problems = (_problem(one["loc"], one["msg"]) for one in exc.errors(include_input=False))
        raise InputInvalid(f"{file}: {'; '.join(problems)}") from exc


def _problem(where: tuple[int | str, ...], what: str) -> str:
    """What holds between several values has no place of its own."""
    return ": ".join([*filter(None, [".".join(map(str, where))]), what.removeprefix("Value error, ")])


def _over(held: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    """A table is gone into, any other value replaced."""
    both = {k: _over(held[k], v) for k, v in named.items() if isinstance(v, dict) and isinstance(held.get(k), dict)}
    return held | named | both


def _changes(old: Contract, new: Contract) -> Iterator[str]:
    before, after = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    return (f"{name}: {before[name]} -> {value}" for name, value in after.items() if before[name] != value)


def _flat(values: dict[str, Any], under: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{under}{name}.") if isinstance(value, dict) else {f"{under}{name}": value}
    return found
