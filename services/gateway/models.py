"""The router's versions as the console shows them: gates, figures, evidence, thresholds; served and taken back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import DictRow

from services.core.contracts.evidence import Changed, Effect, Evidence, effect
from services.core.kit import audit
from services.core.kit.database import Connection
from services.core.kit.errors import Conflict, InputInvalid, NotFound
from services.core.kit.security import Principal
from services.core.models.promotion import EARLIER, OFFER, SERVE

LISTED_MAX = 30
CHANGED_SHOWN = 50
LISTED = """
select version, status, metrics, gates, canary, created_at, promoted_at, cardinality(erased_keys) as erased,
       (manifest ->> 'dataset_rows')::int as rows, manifest ->> 'encoder' = 'frozen' as is_first
from models order by status = 'champion' desc, created_at desc, version desc limit %s
"""
ONE = """
select version, status, metrics, gates, canary, created_at, promoted_at, evidence, cardinality(erased_keys) as erased,
       manifest -> 'bands' -> 'thresholds' as thresholds, (manifest ->> 'dataset_rows')::int as rows,
       coalesce((manifest -> 'bands' ->> 'target_precision')::float8, 0) as target_precision
from models where version = %s
"""
CHAMPION = "select version from models where status = 'champion'"
OWN = 'select "group", least, by, at from thresholds where version = %s'
SET = """
insert into thresholds (version, "group", least, by) values (%(version)s, %(group)s, %(least)s, %(by)s)
on conflict (version, "group") do update set least = excluded.least, by = excluded.by, at = now()
"""
UNSET = 'delete from thresholds where version = %s and "group" = %s'
# Titles lie where the text lies, and go with it.
TITLES = """
select 'ticket/' || id as ref, subject as title from tickets where id = any(%(ids)s) and subject is not null
union all
select ref, title from ticket_vectors where ref = any(%(refs)s) and kind = 'history'
"""


@dataclass(frozen=True)
class Threshold:
    """A group's least confidence for AUTO_ROUTE. `own`: what the version came with; `by`: who set another."""

    group: str
    own: float | None
    least: float | None
    by: str | None = None
    held: int = 0


@dataclass(frozen=True)
class Model:
    """One version with what it was judged by and the thresholds that hold for it now."""

    row: DictRow
    evidence: Evidence
    thresholds: tuple[Threshold, ...]

    @property
    def version(self) -> str:
        return self.row["version"]

    def effect(self, **change: float | None) -> Effect:
        """On the held-out tickets, with some groups' thresholds changed."""
        return self.effect_of({one.group: one.least for one in self.thresholds} | change)

    def effect_of(self, thresholds: Mapping[str, float | None], group: str | None = None) -> Effect:
        held = [one for one in self.evidence.held if group in (None, one.group)]
        tickets = self.evidence.tickets if group is None else sum(len(one.tickets) for one in held)
        return effect(held, dict(thresholds), tickets)


async def versions(conn: Connection) -> list[DictRow]:
    """The champion first, then the newest."""
    return await (await conn.execute(LISTED, (LISTED_MAX,))).fetchall()


async def champion(conn: Connection) -> str | None:
    row = await (await conn.execute(CHAMPION)).fetchone()
    return row["version"] if row else None


async def earlier(conn: Connection) -> str | None:
    """The champion before the present one."""
    row = await (await conn.execute(EARLIER)).fetchone()
    return row["version"] if row else None


async def find(conn: Connection, version: str) -> Model:
    """
    Raises:
        NotFound: no such version.
    """
    row = await (await conn.execute(ONE, (version,))).fetchone()
    if row is None:
        raise NotFound(f"There is no model {version}.")
    evidence = Evidence.stored(row["evidence"])
    own = {one["group"]: one for one in await (await conn.execute(OWN, (version,))).fetchall()}
    held = {one.group: len(one.tickets) for one in evidence.held}
    return Model(row, evidence, tuple(_thresholds(row["thresholds"] or {}, own, held)))


async def titles(conn: Connection, changed: tuple[Changed, ...]) -> dict[str, str]:
    """What the changed tickets are called, where their text is still there."""
    refs = [one.ref for one in changed]
    ids = [int(number) for kind, _, number in (ref.partition("/") for ref in refs) if kind == "ticket"]
    rows = await (await conn.execute(TITLES, {"ids": ids, "refs": refs})).fetchall()
    return {row["ref"]: row["title"] for row in rows}


async def set_threshold(conn: Connection, who: Principal, version: str, group: str, least: float | None) -> None:
    """
    From the next ticket on `group` is routed by itself from this confidence on; None: never.

    Raises:
        NotFound: no such version. InputInvalid: it does not know the group.
    """
    async with conn.transaction():
        known = await _known(conn, version, group)
        await conn.execute(SET, {"version": version, "group": group, "least": least, "by": who.name})
        await _tell(conn, who, version, "threshold.set", {"group": group, "least": least, "was": known.least})


async def unset_threshold(conn: Connection, who: Principal, version: str, group: str) -> None:
    """The version's own holds again; raises as `set_threshold`."""
    async with conn.transaction():
        known = await _known(conn, version, group)
        await conn.execute(UNSET, (version, group))
        await _tell(conn, who, version, "threshold.unset", {"group": group, "least": known.own, "was": known.least})


async def refuse_unfit(conn: Connection, version: str, why: str) -> str:
    """
    The gates that it did not pass, in words, where somebody says why it may serve all the same; empty for none.

    Raises:
        NotFound: no such version. Conflict: it serves already, or its gates, and nobody says why all the same.
    """
    row = (await find(conn, version)).row
    if row["status"] == "champion":
        raise Conflict(f"{version} serves already.")
    if row["gates"] and all(gate["passed"] for gate in row["gates"]):
        return ""
    failed = ", ".join(gate["name"] for gate in row["gates"] if not gate["passed"])
    if not why:
        said = failed or "it was never judged"
        raise Conflict(f"{version} has not passed its gates: {said}. Say why it may serve all the same.")
    return failed or "not judged"


async def promote(conn: Connection, who: Principal, version: str, *, why: str = "") -> None:
    """
    Puts a version into service; one that has not passed its gates only with a reason. Its files are the caller's.

    Raises:
        As `refuse_unfit`.
    """
    async with conn.transaction():
        failed = await refuse_unfit(conn, version, why)
        before = await _serve(conn, version, is_back=False, why=why)
        if before == version:
            raise Conflict(f"{version} serves already.")
        await conn.execute(OFFER, (version,))
        if failed:
            await _tell(conn, who, version, "model.forced", {"gates": failed, "why": why})
        await _tell(conn, who, version, "model.promoted", {"before": before})


async def way_back(conn: Connection, expected: str) -> str:
    """
    The version to go back to; `expected` is the champion as the person saw it.

    Raises:
        NotFound: there is none. Conflict: another serves by now.
    """
    if await champion(conn) != expected:
        raise Conflict("Another model serves by now. Look again.")
    version = await earlier(conn)
    if version is None:
        raise NotFound("There is no earlier champion to go back to.")
    return version


async def roll_back(conn: Connection, who: Principal, expected: str, version: str, *, unlooked: str) -> None:
    """
    Puts `version`, the champion before the present one, back; `unlooked`: why nobody has looked at its files, if so.

    Raises:
        As `way_back`.
    """
    async with conn.transaction():
        if await way_back(conn, expected) != version:
            raise Conflict("Another model served before by now. Look again.")
        before = await _serve(conn, version, is_back=True, why="")
        await _tell(
            conn, who, version, "model.rolled_back", {"before": before, **({"unlooked": unlooked} if unlooked else {})}
        )


async def _serve(conn: Connection, version: str, *, is_back: bool, why: str) -> str | None:
    try:
        row = await (await conn.execute(SERVE, (version, is_back, why))).fetchone()
    except psycopg.errors.CheckViolation as exc:
        raise Conflict(f"{version} may not serve: it changed meanwhile. Look again.") from exc
    return row["before"] if row else None


async def _known(conn: Connection, version: str, group: str) -> Threshold:
    found = next((one for one in (await find(conn, version)).thresholds if one.group == group), None)
    if found is None:
        raise InputInvalid(f"{version} does not know the group '{group}'.")
    return found


async def _tell(conn: Connection, who: Principal, version: str, action: str, detail: dict[str, Any]) -> None:
    await audit.append(conn, audit.Entry(f"user/{who.name}", action, f"model/{version}", detail))


def _thresholds(
    own: Mapping[str, float | None], people: Mapping[str, DictRow], held: Mapping[str, int]
) -> list[Threshold]:
    return [
        Threshold(
            group,
            own[group],
            people[group]["least"] if group in people else own[group],
            people[group]["by"] if group in people else None,
            held.get(group, 0),
        )
        for group in sorted(own)
    ]
