"""The label catalogue edited: every change in the audit log, nothing ever deleted. Workers read it for each ticket."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from services.core.contracts.catalogue import Catalogue, Team
from services.core.kit import audit
from services.core.kit.database import Connection
from services.core.kit.errors import InputInvalid
from services.core.kit.security import Principal

INVISIBLE = {"Cc", "Cf", "Zl", "Zp"}  # Unicode's categories of control and format characters and line separators
SCRIPTS = {"LATIN", "CYRILLIC", "GREEK"}  # those whose letters look alike
ALONE = "lock table catalogue in share row exclusive mode"
READ = """
select name, description, department, system, priority_threshold, support_level, active from catalogue
where kind = 'group' order by rank, name
"""
PUT = """
insert into catalogue (kind, name, description, department, system, priority_threshold, support_level, active, rank)
values ('group', %(name)s, %(description)s, %(department)s, %(system)s, %(priority_threshold)s, %(support_level)s,
        %(active)s, %(rank)s)
on conflict (kind, name) do update set description = excluded.description, department = excluded.department,
    system = excluded.system, priority_threshold = excluded.priority_threshold,
    support_level = excluded.support_level, active = excluded.active, rank = excluded.rank
"""


async def read(conn: Connection) -> Catalogue:
    """Every team, the inactive ones too."""
    rows = await (await conn.execute(READ)).fetchall()
    return Catalogue(teams=tuple(Team.model_validate(row) for row in rows))


async def put(conn: Connection, team: Team, who: Principal) -> Catalogue:
    """
    Adds or changes one team; a new one comes last.

    Raises:
        InputInvalid: a new name is one that people would take for another one, or cannot see.
    """
    async with conn.transaction():
        await conn.execute(ALONE)
        before = (await read(conn)).teams
        known = [known.name for known in before]
        after = [team if old.name == team.name else old for old in before] + [team] * (team.name not in known)
        return await _store(conn, before, after, who)


async def replace(conn: Connection, wanted: Catalogue, who: Principal) -> Catalogue:
    """
    Makes the catalogue the wanted one, in its order. Teams it does not name are switched off, not deleted.

    Raises:
        InputInvalid: a team is named twice or unfit, or none is active: then every ticket would wait for a person.
    """
    names = [team.name for team in wanted.teams]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputInvalid(f"Named more than once: {', '.join(twice)}. Each team has one entry.")
    if not any(team.active for team in wanted.teams):
        raise InputInvalid("No team is active, so no ticket could be routed. Leave at least one active.")
    async with conn.transaction():
        await conn.execute(ALONE)
        before = (await read(conn)).teams
        missing = [team.model_copy(update={"active": False}) for team in before if team.name not in names]
        return await _store(conn, before, [*wanted.teams, *missing], who)


def _check_names(new: Iterable[str]) -> None:
    """
    Raises:
        InputInvalid: a name that people would take for another one, or cannot see.
    """
    for name in sorted(new):
        if why := _unfit(name):
            raise InputInvalid(f"The team's name {name!a} {why}. Type it as the ticketing system shows it.")


def _unfit(name: str) -> str | None:
    if any(unicodedata.category(char) in INVISIBLE for char in name):
        return "has a character that nobody sees"
    if name != name.strip():
        return "is blank, or begins or ends with a blank"
    if not unicodedata.is_normalized("NFC", name):
        return "writes an accent as a character of its own (it is not in Unicode's form NFC)"
    if any(len(SCRIPTS & {unicodedata.name(char, "").partition(" ")[0] for char in word}) > 1 for word in _words(name)):
        return "mixes letters of two scripts in one word"
    return None


def _words(name: str) -> list[str]:
    return re.findall(r"\w+", name)


async def _store(conn: Connection, before: Sequence[Team], after: Sequence[Team], who: Principal) -> Catalogue:
    _check_names({team.name for team in after} - {team.name for team in before})
    for rank, team in enumerate(after):
        await conn.execute(PUT, {**team.model_dump(mode="json"), "rank": rank})
    if changes := _changes(before, after):
        await audit.append(conn, audit.Entry(f"user/{who.name}", "catalogue.changed", "catalogue", changes))
    return await read(conn)


def _changes(before: Sequence[Team], after: Sequence[Team]) -> dict[str, Any]:
    """Of each team that differs, what it is now; the entry before it says what it was."""
    old = {team.name: team for team in before}
    return {team.name: team.model_dump(mode="json") for team in after if team != old.get(team.name)}
