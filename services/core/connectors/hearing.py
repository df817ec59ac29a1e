"""
From a call to deliveries, once for all connectors: one per event, each under its own key, our own echoes set aside.

A connector takes the call apart (`events`) and says what one event means (`understand`); the rest happens here, so that
a bad event neither loses nor blocks its neighbours.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import ValidationError

from services.core.connectors import lenient
from services.core.connectors.door import Call, Door
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Comment, Ticket
from services.core.kit.errors import PayloadInvalid

OWN_ACTOR = "pointsman"  # how our writes are signed where a system lets us choose the author's name
MARKER_PREFIX = "pointsman_"  # every mark that our writes leave starts so
EVENTS_MAX = 1_000  # in one call; the busiest sender known bundles 100
MUST_BE_HEARD = frozenset({DeliveryKind.DELETED, DeliveryKind.ERASED})  # whoever did it, the text must go
KINDS = {kind.value: kind for kind in DeliveryKind if kind is not DeliveryKind.IGNORED}
TIMES = {"created_at", "updated_at", "stamp"}
_BY_TAG = frozenset({DeliveryKind.ASSIGNED, DeliveryKind.UPDATED, DeliveryKind.COMMENTED})


@dataclass(frozen=True)
class Told:
    """
    What one event says, in our words. All but kind and id may be missing: what is missing is fetched.

    `key` is the event's own id inside what is signed, the same in every attempt; without one the event's content is the
    key. `actors` are ids and addresses of whoever did it; empty when nobody is named.
    """

    kind: DeliveryKind
    external_id: str
    key: str | None = None
    ticket: Ticket | None = None
    comment: Comment | None = None
    actors: tuple[str, ...] = ()
    occurred_at: datetime | None = None
    why_ignored: str | None = None


@dataclass(frozen=True)
class Unusable:
    """An event of a call that nothing can be made of; `position` counts from 0."""

    position: int
    why: str


class Ears(Protocol):
    """What a connector supplies to be heard through."""

    @property
    def name(self) -> str: ...

    @property
    def door(self) -> Door | None: ...

    @property
    def own_actors(self) -> frozenset[str]: ...

    def events(self, call: Call) -> Sequence[Any]: ...

    def understand(self, event: Any, call: Call) -> Told: ...


def worded(event: Mapping[str, Any], *, id: str, actor: str) -> Told:
    """An event that says its kind in our words, as a template that is entered in the system does; `event` and `at`."""
    kind, by = KINDS.get(lenient.text(event.get("event"))), lenient.optional_id(event.get(actor))
    return Told(
        kind=kind or DeliveryKind.IGNORED,
        external_id=lenient.external_id(event.get(id), where=id),
        actors=(by,) if by else (),
        occurred_at=lenient.time(event.get("at")),
        why_ignored=None if kind else f"event is not one of {', '.join(KINDS)}",
    )


def hear(ears: Ears, call: Call) -> list[Delivery | Unusable]:
    """
    What the call tells, event by event and in its order.

    Raises:
        PayloadInvalid: the call as a whole cannot be used, or its only event cannot.
    """
    events = ears.events(call)
    if len(events) > EVENTS_MAX:
        raise PayloadInvalid(f"The {ears.name} call holds {len(events)} events; at most {EVENTS_MAX} are taken.")
    heard: list[Delivery | Unusable] = []
    for position, event in enumerate(events):
        place = f":{position}" if len(events) > 1 else ""
        try:
            told = ears.understand(event, call)
            heard.append(_delivery(ears, call, told, _key(ears, call, told, event, place)))
        except (PayloadInvalid, ValidationError) as exc:
            why = exc.message if isinstance(exc, PayloadInvalid) else _where(exc)
            if len(events) == 1:
                raise PayloadInvalid(why) from exc
            heard.append(Unusable(position, why))
    return heard


def _delivery(ears: Ears, call: Call, told: Told, key: str) -> Delivery:
    why_ignored = told.why_ignored or why_ours(told, ears.own_actors)
    return Delivery(
        connector=ears.name,
        delivery_id=lenient.delivery_id(key),
        kind=DeliveryKind.IGNORED if why_ignored else told.kind,
        external_id=told.external_id,
        ticket=told.ticket or Ticket(connector=ears.name, external_id=told.external_id),
        comment=told.comment,
        actor_id=told.actors[0] if told.actors else None,
        occurred_at=told.occurred_at,
        why_ignored=why_ignored,
        content_sha256=_content(told) if _signed_id(ears, call) and not told.key else None,
    )


def why_ours(told: Told, own_actors: frozenset[str]) -> str | None:
    """Why this is an echo of our own update; None when a person or another system did it."""
    if told.kind in MUST_BE_HEARD:
        return None
    if told.actors:
        is_ours = any(actor.strip().lower() in own_actors for actor in told.actors)
        return "our own update came back" if is_ours else None
    # Nobody is named. On a ticket we have written to, an assignment or a change is then taken for ours: missing a
    # person's correction costs one training label, answering our own echo costs a loop.
    tags = told.ticket.tags if told.ticket else ()
    is_marked = told.kind in _BY_TAG and any(tag.startswith(MARKER_PREFIX) for tag in tags)
    return "no actor is named and the ticket carries our tag" if is_marked else None


def _key(ears: Ears, call: Call, told: Told, event: Any, place: str) -> str:
    """What is signed, less what changes between attempts: the id where it is signed, else the event itself."""
    if told.key:
        return told.key
    if signed_id := _signed_id(ears, call):
        return signed_id + place
    content = json.dumps(event, sort_keys=True, default=str).encode("utf-8", "surrogatepass")
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _signed_id(ears: Ears, call: Call) -> str:
    return lenient.storable(ears.door.signed_id(call) if ears.door else "", system="id").strip()


def _content(told: Told) -> str:
    """Of what is meant, not of the body: senders write a new time, or the same in another order, when they repeat."""
    said = {
        "kind": told.kind,
        "id": told.external_id,
        "ticket": told.ticket.model_dump(mode="json", exclude=TIMES) if told.ticket else None,
        "comment": told.comment.model_dump(mode="json", exclude={"at"}) if told.comment else None,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def _where(error: ValidationError) -> str:
    """The fields that do not fit, never what was in them."""
    problems = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'event'}: {problem['msg']}" for problem in problems)
