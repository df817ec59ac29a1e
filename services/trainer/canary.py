"""
A candidate beside the champion on live tickets: it answers what the champion has decided, and nobody acts on it.

One round answers what is new, compares, and promotes or drops with the reason; run it as often as you like.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import Connection
from psycopg.rows import dict_row

from services.core.kit import audit
from services.core.models import registry
from services.core.models.bundle import load_bundle
from services.core.models.registry import ModelRecord
from services.core.models.texts import join_text
from services.trainer.gates import answer
from services.trainer.sequential import CanaryRules, Verdict, judge

if TYPE_CHECKING:
    from obstore.store import ObjectStore

BATCH = 256

UNANSWERED = """
select d.ticket_id, d."group", t.subject, t.body from decisions d join tickets t on t.id = d.ticket_id
where d.decided_at >= %(since)s and d.model_version = %(champion)s and d."group" is not null
  and t.state = 'triaged' and t.subject is not null
  and not exists (select 1 from canary_answers c where c.version = %(version)s and c.ticket_id = d.ticket_id)
order by d.id limit %(batch)s
"""
KEEP = """
insert into canary_answers (version, ticket_id, "group", champion_group) values (%s, %s, %s, %s) on conflict do nothing
"""
# A person's word outranks the group at close, as in training.
OUTCOMES = """
select c."group" <> c.champion_group as differs, l.at,
       (l."group" = c."group")::int - (l."group" = c.champion_group)::int as gain
from canary_answers c left join lateral (
    select "group", at from labels where ticket_id = c.ticket_id
    order by array_position(array['review', 'close', 'feedback'], source) limit 1) l on true
where c.version = %s order by c.ticket_id
"""


@dataclass(frozen=True)
class Told:
    version: str
    state: str
    reason: str


def run_round(conn: Connection[Any], store: "ObjectStore", cache: Path, rules: CanaryRules | None = None) -> list[Told]:
    """What became of each canary. The connection commits each statement."""
    return [_round(conn, store, cache, record, rules or CanaryRules()) for record in registry.canaries(conn)]


def _round(conn: Connection[Any], store: "ObjectStore", cache: Path, record: ModelRecord, rules: CanaryRules) -> Told:
    champion = registry.champion(conn)
    if champion is None or champion.version != _of(record)["champion"]:
        verdict = Verdict("dropped", "another model became the champion meanwhile: train again")
    else:
        _answer_new(conn, store, cache, record)
        rows = conn.cursor(row_factory=dict_row).execute(OUTCOMES, (record.version,)).fetchall()
        labelled = [row["gain"] for row in sorted(rows, key=_label_time) if row["at"] is not None]
        verdict = judge([row["differs"] for row in rows], labelled, rules)
    if verdict.state == "promoted":
        registry.check_stored(store, record)
    _conclude(conn, record, verdict)
    return Told(record.version, verdict.state, verdict.reason)


def _label_time(row: dict[str, Any]) -> float:
    return row["at"].timestamp() if row["at"] is not None else 0.0


def _of(record: ModelRecord) -> dict[str, Any]:
    assert record.canary is not None  # registry.canaries gives those that have one
    return record.canary


def _answer_new(conn: Connection[Any], store: "ObjectStore", cache: Path, record: ModelRecord) -> None:
    model = load_bundle(registry.fetch(store, record, cache))
    asked = {**_of(record), "version": record.version, "batch": BATCH}
    while rows := conn.cursor(row_factory=dict_row).execute(UNANSWERED, asked).fetchall():
        said = answer(model, [join_text(row["subject"], row["body"] or "") for row in rows])
        kept = [(record.version, row["ticket_id"], g, row["group"]) for row, g in zip(rows, said, strict=True)]
        conn.cursor().executemany(KEEP, kept)


def _conclude(conn: Connection[Any], record: ModelRecord, verdict: Verdict) -> None:
    with conn.transaction():
        registry.record_canary(conn, record.version, {**_of(record), "state": verdict.state, "reason": verdict.reason})
        if verdict.state == "promoted":
            registry.promote(conn, record.version)
        if verdict.state == "dropped":
            detail = {"gates": "canary", "why": verdict.reason}
            audit.append_now(conn, audit.Entry("trainer", "model.rejected", f"model/{record.version}", detail))
