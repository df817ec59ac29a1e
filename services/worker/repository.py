"""The worker's SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from services.core.connectors.write_back import About
from services.core.contracts.decision import Decision
from services.core.contracts.facts import digests
from services.core.contracts.prediction import Band, Prediction
from services.core.contracts.priority import LabelText
from services.core.contracts.ticket import Priority, Seen, Ticket
from services.core.kit.database import Connection
from services.core.models.texts import join_text, signed, text_key
from services.core.text.redact import Redacted
from services.worker.decide import review_urgency

RAW = """
select x.ticket, t.status, t.current_group from raw.texts x join tickets t on t.id = x.ticket_id where x.ticket_id = %s
"""
REDACTED = """
select id, connector, external_id, subject, body, language, current_group, status, seen, created_at from tickets
where id = %s
"""
# Only over the text that was read: what came in meanwhile is newer.
STORE_REDACTED = """
with vault as (
    update raw.texts set vault = %(vault)s, ticket = %(ticket)s
    where ticket_id = %(id)s and coalesce(ticket ->> 'subject', '') = %(known_subject)s
        and coalesce(ticket ->> 'body', '') = %(known_body)s
    returning ticket_id
)
update tickets set subject = %(subject)s, body = %(body)s, language = %(language)s, seen = %(seen)s,
    categories = %(categories)s, updated_at = now()
where id = %(id)s and state <> 'erased' and exists (select from vault) returning id
"""
CATALOGUE = """
select kind, name, description, priority_threshold,
       (select jsonb_object_agg(version, least) from thresholds where "group" = catalogue.name) as least
from catalogue
where kind in ('group', 'priority') and active order by rank, name
"""
RECORD = """
with ticket as (
    select id from tickets where id = %(ticket_id)s and state <> 'erased' for update
), decision as (
    insert into decisions (ticket_id, workflow_id, decision, "group", band, priority, confidence, model_version, shadow)
    select id, %(workflow_id)s, %(decision)s, %(group)s, %(band)s, %(priority)s, %(confidence)s,
           %(model_version)s, %(shadow)s from ticket
    on conflict (workflow_id) do nothing returning ticket_id
), review as (
    insert into reviews (ticket_id, reason, urgency)
    select ticket_id, %(reason)s, %(urgency)s from decision where %(band)s <> 'AUTO_ROUTE'
    on conflict (ticket_id) do nothing
)
update tickets set state = 'triaged', updated_at = now() where id = %(ticket_id)s and exists (select from decision)
returning id
"""
LEAVE_ALONE = (
    "update tickets set state = 'filtered', updated_at = now() where id = %s and state = 'received' returning id"
)
LABEL_AT_CLOSE = """
insert into labels (ticket_id, "group", source) values (%s, %s, 'close')
on conflict (ticket_id, source) do update set "group" = excluded."group", at = now()
"""
NOTE = """
insert into notes (ticket_id, kind, workflow_id, body) values (%s, %s, %s, %s)
on conflict (workflow_id) do nothing returning id
"""
CLOSE_REVIEW = """
update reviews r set closed_by = 'closing', closed_at = now(), "group" = coalesce(%(group)s, d."group"),
    state = case when coalesce(%(group)s, d."group") is not distinct from d."group" then 'accepted' else 'corrected' end
from (select "group" from decisions where ticket_id = %(id)s order by id desc limit 1) d
where r.ticket_id = %(id)s and r.state = 'open'
"""
# A statement sees what was there when it began: locked in one of its own first, what was just written is not missed.
LOCK = "select id from tickets where id = %s for update"
ALIVE = "select id from tickets where id = %s and state <> 'erased' for share"
ALIVE_NOW = "select id from tickets where id = any(%s) and state <> 'erased' for share skip locked"
ERASE = """
with texts as (delete from raw.texts where ticket_id = %(id)s),
     vectors as (delete from ticket_vectors where ref = %(ref)s),
     written as (delete from notes where ticket_id = %(id)s),
     letters as (delete from outbox where ticket_id = %(id)s),
     waiting as (delete from reviews where ticket_id = %(id)s and state = 'open'),
     whys as (delete from review_reasons where ticket_id = %(id)s),
     arrived as (delete from arrivals where ticket_id = %(id)s),
     incidents as (delete from incident_tickets where ticket_id = %(id)s),
     reasons as (update decisions set decision = decision || '{"priority_reason": "", "summary": null}'
                 where ticket_id = %(id)s),
     checkpoints as (delete from dbos.operation_outputs o using dbos.workflow_status w
                     where w.workflow_uuid = o.workflow_uuid and split_part(w.workflow_uuid, ':', 2) = %(id)s::text
                       and w.status in ('SUCCESS', 'ERROR')),
     answers as (delete from llm_cache where ticket_id = %(id)s::text),
     talks as (delete from sessions s using tickets t
               where t.id = %(id)s and s.connector = t.connector and (s.ticket = t.external_id or s.id = any(array(
                   select e.session_id from session_events e join tickets x on x.id = %(id)s
                   where e.kind = 'ticket_opened' and e.detail ->> 'ticket' = x.external_id))) returning s.id),
     parts as (select p.uri from case_parts p join talks on talks.id = p.session_id),
     cases as (delete from documents d where d.source = 'cases'
               and d.uri in (select 'case:' || id from talks union select uri from parts)),
     past as (delete from history h using tickets t
              where t.id = %(id)s and h.source = t.connector and h.external_id = t.external_id returning h.id),
     past_vectors as (delete from ticket_vectors v using past where v.ref = 'history/' || past.id),
     desk as (delete from desk_tickets d using tickets t where t.id = %(id)s and t.connector = 'desk'
              and d.id = case when t.external_id ~ '^[0-9]{1,18}$' then t.external_id::bigint end)
update tickets set subject = null, body = null, categories = '{}', state = 'erased', updated_at = now()
where id = %(id)s returning id
"""


LEARNT = """
select subject, body from tickets where id = %(id)s and subject is not null
union all select h.subject, h.body from history h join tickets t on t.id = %(id)s
    and h.source = t.connector and h.external_id = t.external_id
"""
FLAG = """
update models set erased_keys = array(
    select unnest(erased_keys) union (select unnest(%(keys)s::bigint[]) intersect select unnest(text_keys)))
where text_keys && %(keys)s::bigint[]
"""


@dataclass(frozen=True)
class Catalogue:
    """
    The active labels in the catalogue's order. `thresholds`: from which priority on a group takes by itself.
    `least`: of each group the least confidence that people set for a model's version; None: never by itself.
    """

    groups: tuple[LabelText, ...]
    priorities: tuple[LabelText, ...]
    thresholds: Mapping[str, Priority]
    least: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)

    def least_of(self, prediction: Prediction | None) -> Mapping[str, float | None]:
        """What was set for the model that made the prediction."""
        if prediction is None:
            return {}
        version = prediction.model_version
        return {group: set_[version] for group, set_ in self.least.items() if version in set_}

    def names(self) -> frozenset[str]:
        """The groups that tickets may be routed to."""
        return frozenset(group.name for group in self.groups)


async def raw_ticket(conn: Connection, ticket_id: int) -> Ticket | None:
    """The ticket's text as it came, its status and group as last heard; None once it was erased."""
    row = await (await conn.execute(RAW, (ticket_id,))).fetchone()
    return Ticket.stored({**row["ticket"], **_newest(row)}) if row else None


def _newest(row: DictRow) -> dict[str, Any]:
    """A later delivery may have brought no text but a newer status; a newer gateway may write fields we do not know."""
    return {"status": row["status"], "group": row["current_group"] or row["ticket"].get("group")}


async def redacted(conn: Connection, ticket_id: int) -> DictRow:
    """What models may see. `created_at` is when the webhook came in."""
    row = await (await conn.execute(REDACTED, (ticket_id,))).fetchone()
    assert row is not None  # the workflow was enqueued in the transaction that inserted it
    return row


def about(row: Mapping[str, Any]) -> About:
    """Whom a letter about this ticket goes to, and what of it was seen."""
    seen = Seen.stored(row["seen"] or {})
    return About(row["id"], row["connector"], row["external_id"], seen)


async def store_redacted(conn: Connection, ticket_id: int, ticket: Ticket, safe: Redacted, *, known: Ticket) -> bool:
    """Keeps the ticket as it was read and its redacted text; False when newer text than `known` has come in."""
    seen = Seen(stamp=ticket.stamp, group=ticket.group, priority=ticket.priority, status=ticket.status)
    cursor = await conn.execute(
        STORE_REDACTED,
        {
            "id": ticket_id,
            "known_subject": known.subject,
            "known_body": known.body,
            "seen": Jsonb(seen.model_dump(mode="json")),
            "vault": Jsonb(safe.vault),
            "ticket": Jsonb(ticket.model_dump(mode="json")),
            "subject": safe.fields["subject"],
            "body": safe.fields["body"],
            "language": safe.language,
            "categories": Jsonb(digests(ticket.metadata)),
        },
    )
    return await cursor.fetchone() is not None


async def catalogue(conn: Connection) -> Catalogue:
    """What decisions are made with, as it is now."""
    rows = await (await conn.execute(CATALOGUE)).fetchall()
    labels = {kind: _labels(rows, kind) for kind in ("group", "priority")}
    bounds = {row["name"]: Priority(row["priority_threshold"]) for row in rows if row["priority_threshold"]}
    least = {row["name"]: row["least"] for row in rows if row["least"] and row["kind"] == "group"}
    return Catalogue(labels["group"], labels["priority"], bounds, least)


def _labels(rows: Sequence[DictRow], kind: str) -> tuple[LabelText, ...]:
    return tuple(LabelText(name=row["name"], description=row["description"]) for row in rows if row["kind"] == kind)


async def record(conn: Connection, decision: Decision, workflow_id: str) -> bool:
    """Stores a decision and, unless it is automatic, its place in the review queue; False when it was stored before."""
    values = {
        "ticket_id": int(decision.ticket_id),
        "workflow_id": workflow_id,
        "decision": Jsonb(decision.model_dump(mode="json")),
        "group": decision.group,
        "band": decision.band,
        "priority": decision.priority,
        "confidence": decision.confidence,
        "model_version": decision.model_version,
        "shadow": decision.shadow,
        "reason": decision.reason,
        "urgency": review_urgency(decision) if decision.band is not Band.AUTO_ROUTE else 0,
    }
    return await (await conn.execute(RECORD, values)).fetchone() is not None


async def leave_alone(conn: Connection, ticket_id: int) -> bool:
    return await (await conn.execute(LEAVE_ALONE, (ticket_id,))).fetchone() is not None


async def add_note(conn: Connection, ticket_id: int, kind: str, workflow_id: str, body: Mapping[str, Any]) -> bool:
    """False when this workflow wrote its note before."""
    return await (await conn.execute(NOTE, (ticket_id, kind, workflow_id, Jsonb(dict(body))))).fetchone() is not None


async def label_at_close(conn: Connection, ticket_id: int, group: str) -> None:
    await conn.execute(LABEL_AT_CLOSE, (ticket_id, group))


async def close_review(conn: Connection, ticket_id: int, group: str | None) -> None:
    """A solved ticket needs no review any more: where it was closed is the answer."""
    await conn.execute(CLOSE_REVIEW, {"id": ticket_id, "group": group})


async def hold(conn: Connection, ticket_id: int) -> bool:
    """Whether the ticket's text is there; keeps an erasure waiting until the caller's transaction ends."""
    return await (await conn.execute(ALIVE, (ticket_id,))).fetchone() is not None


async def hold_free(conn: Connection, ticket_ids: list[int]) -> set[int]:
    """Those that `hold` would hold at once: never waits, so several at a time cannot wait for each other."""
    return {row["id"] for row in await (await conn.execute(ALIVE_NOW, (ticket_ids,))).fetchall()}


async def erase(conn: Connection, ticket_id: int) -> None:
    """
    Text, vault, vectors, notes, reasons that quote and the conversation it was handed over from go; so do its ticket on
    the built-in desk, and what was imported under its system's name and its id. Ids, decisions' numbers and the audit
    log stay.

    Models that learnt from its text are flagged with the text's key.

    Needs the caller's transaction. Whoever writes text that was read before holds the ticket while writing.
    """
    await conn.execute(LOCK, (ticket_id,))
    await flag_models(conn, await (await conn.execute(LEARNT, {"id": ticket_id})).fetchall())
    await conn.execute(ERASE, {"id": ticket_id, "ref": f"ticket/{ticket_id}"})


async def flag_models(conn: Connection, rows: Sequence[DictRow]) -> None:
    """Those that learnt from one of these texts, subject and body redacted, get its key."""
    keys = [signed(text_key(join_text(row["subject"], row["body"]))) for row in rows]
    await conn.execute(FLAG, {"keys": keys})
