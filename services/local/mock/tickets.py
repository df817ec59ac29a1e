"""
The mock company's tickets: a year of closed ones to learn from, and an endless stream of new ones to triage.

Made so that a router must work: shared vocabulary, tickets two groups could own, vague ones, wrong labels, typos,
three languages, and some that belong to nobody. Every ticket depends on (stream, seed, number) alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import TypeVar

from services.core.contracts.ticket import Comment, Priority, Requester, Status, Ticket
from services.local.mock import people
from services.local.mock.catalogue import Group, company, phrases
from services.local.mock.compose import Draft, Span, Voice

K = TypeVar("K")
MOCK_SOURCE = "mock"  # origin of mock history among closed tickets
DAYS = 365
LABEL_NOISE = 0.03  # closed by a group that should not have had it
KINDS = {"issue": 0.87, "ambiguous": 0.08, "vague": 0.03, "out_of_scope": 0.02}
LANGUAGES = {"en": 0.55, "de": 0.38, "fr": 0.07}
PRIORITIES = {Priority.LOW: 0.2, Priority.NORMAL: 0.5, Priority.HIGH: 0.22, Priority.URGENT: 0.08}
SLOWER_THAN_MEDIAN = {Priority.LOW: 2.0, Priority.NORMAL: 1.0, Priority.HIGH: 0.5, Priority.URGENT: 0.25}
HOURS_SIGMA = 0.9  # log-normal spread of hours to resolve; p90 is about three times the median


@dataclass(frozen=True)
class MockTicket:
    """
    A ticket of the mock company, with what only its maker knows.

    `group` is where it was closed (history) or should go (live); noise included. `true_group` has no noise and is
    None when `out_of_scope`: nobody here can solve it, so a person must see it. `kind` is issue, ambiguous, vague or
    out_of_scope. `spans` mark the planted personal data of subject, body and comments. A live ticket has no times.
    """

    external_id: str
    subject: str
    body: str
    requester_name: str
    requester_email: str
    group: str
    true_group: str | None
    priority: Priority
    lang: str
    kind: str
    spans: tuple[Span, ...]
    comments: tuple[Comment, ...] = ()
    created_at: datetime | None = None
    solved_at: datetime | None = None

    @property
    def out_of_scope(self) -> bool:
        return self.kind == "out_of_scope"


def history(n: int, seed: int = 0, *, until: datetime) -> Iterator[MockTicket]:
    """`n` closed tickets of the year before `until`, oldest first to within days, each with its resolution."""
    if until.tzinfo is None:
        raise ValueError(f"until must carry a time zone, for example {until.isoformat()}+00:00")
    for i in range(n):
        ticket, voice = _write(f"history:{seed}:{i}", live=False)
        created = _working_hour(until - timedelta(days=DAYS * (1 - i / n)), voice.rng)
        created = min(created, until - timedelta(minutes=10))
        yield _close(replace(ticket, external_id=f"H{seed}-{i + 1:06}", created_at=created), voice, until=until)


def live(seed: int = 0) -> Iterator[MockTicket]:
    """New tickets without end. Some of their wording never occurs in the history."""
    for i in count(1):
        ticket, _ = _write(f"live:{seed}:{i}", live=True)
        yield replace(ticket, external_id=f"L{seed}-{i:06}")


def hourly(at: datetime) -> MockTicket:
    """The test ticket of the hour of `at`: the same ticket and id however often it is asked for within the hour."""
    hour = f"{at.astimezone(UTC):%Y%m%d%H}"
    ticket, _ = _write(f"hourly:{hour}", live=True)
    return replace(ticket, external_id=f"T{hour}")


def as_ticket(mock: MockTicket, *, connector: str) -> Ticket:
    """The mock ticket as a connector would deliver it: closed with group and comments, or new without."""
    closed = mock.solved_at is not None
    return Ticket(
        connector=connector,
        external_id=mock.external_id,
        subject=mock.subject,
        body=mock.body,
        requester=Requester(name=mock.requester_name, email=mock.requester_email),
        status=Status.CLOSED if closed else Status.NEW,
        priority=mock.priority if closed else None,
        group=mock.group if closed else None,
        comments=mock.comments,
        created_at=mock.created_at,
        updated_at=mock.solved_at,
    )


def _write(key: str, *, live: bool) -> tuple[MockTicket, Voice]:
    rng = Random(key)
    kind, lang, priority = _draw(KINDS, rng), _draw(LANGUAGES, rng), _draw(PRIORITIES, rng)
    if kind == "ambiguous" and lang == "fr":
        lang = "en"  # the ambiguous phrases are English and German
    true_group, issue = _issue(kind, lang, rng)
    voice = _voice(rng, lang, true_group, live=live)
    subject, body = Draft("subject"), Draft("body")
    subject.add(issue["subject"], voice)
    if not voice.lower_case:
        subject.capitalise(0)
    _write_body(body, issue, kind=kind, priority=priority, voice=voice)
    ticket = MockTicket(
        external_id="",
        subject=subject.text,
        body=body.text,
        requester_name=voice.requester.name,
        requester_email=voice.requester.email,
        group=_noisy(true_group, rng).name,
        true_group=None if kind == "out_of_scope" else true_group.name,
        priority=priority,
        lang=lang,
        kind=kind,
        spans=(*subject.spans, *body.spans),
    )
    return ticket, voice


def _issue(kind: str, lang: str, rng: Random) -> tuple[Group, dict[str, str]]:
    """What the ticket is about and who should solve it; vague and foreign ones land anywhere by the groups' shares."""
    shares = {group.name: group.share for group in company().groups}
    group = company().group(_draw(shares, rng))
    if kind == "issue":
        return group, rng.choice(group.issues[lang])
    if kind != "ambiguous":
        return group, rng.choice(phrases()[kind][lang])
    entries = phrases()["ambiguous"]
    weights = [min(shares[name] for name in entry["groups"]) for entry in entries]
    entry = rng.choices(entries, weights)[0]
    first, second = (company().group(name) for name in entry["groups"])
    return (first if rng.random() < entry["first"] else second), entry[lang]


def _voice(rng: Random, lang: str, group: Group, *, live: bool) -> Voice:
    requester = people.person(rng, lang, domain=company().domain)
    typo_rate = 0.08 if rng.random() < 0.2 else 0.0
    return Voice(rng, lang, requester, group, company(), typo_rate, rng.random() < 0.08, live)


def _write_body(body: Draft, issue: dict[str, str], *, kind: str, priority: Priority, voice: Voice) -> None:
    rng, shared = voice.rng, phrases()
    opening = rng.choice(shared["openings"][voice.lang])
    body.add(f"{opening}\n\n" if opening else "", voice)
    sentences = [issue["body"]]
    if kind == "issue":
        sentences += rng.sample(voice.group.details[voice.lang], rng.choice((0, 0, 1)))
    sentences += rng.sample(shared["context"][voice.lang], rng.choice((0, 1, 1, 2)))
    if rng.random() < 0.7:
        sentences.append(rng.choice(shared["urgency"][priority.value][voice.lang]))
    for i, sentence in enumerate(sentences):
        body.add("" if i == 0 else " ", voice)
        start = len(body.text)
        body.add(sentence, voice)
        if not voice.lower_case:
            body.capitalise(start)
    closing = rng.choice(shared["closings"][voice.lang])
    body.add(f"\n\n{closing}" if closing else "", voice)
    if rng.random() < 0.12:
        body.add(rng.choice(shared["quoted"][voice.lang]), voice)


def _close(ticket: MockTicket, voice: Voice, *, until: datetime) -> MockTicket:
    """The ticket with its solution: hours by group and priority, never after `until`."""
    created = ticket.created_at or until
    median = voice.group.median_hours * SLOWER_THAN_MEDIAN[ticket.priority]
    hours = voice.rng.lognormvariate(math.log(median), HOURS_SIGMA)
    left = (until - created) / timedelta(hours=1)
    if hours > left:  # still open at `until`, so it would not be in the history: it was solved sooner
        hours = left * voice.rng.uniform(0.2, 1.0)
    solved = (created + timedelta(hours=hours)).replace(microsecond=0)
    comments, spans = _conversation(voice, created=created, solved=solved)
    return replace(ticket, solved_at=solved, comments=comments, spans=ticket.spans + spans)


def _conversation(voice: Voice, *, created: datetime, solved: datetime) -> tuple[tuple[Comment, ...], tuple[Span, ...]]:
    rng, shared = voice.rng, phrases()
    asked = rng.random() < 0.4
    turns = [("agent", rng.choice(shared["questions"][voice.lang]))] if asked else []
    turns += [("requester", rng.choice(shared["answers"][voice.lang]))] if asked else []
    turns.append(("agent", rng.choice(voice.group.fixes[voice.lang])))
    comments, spans = [], []
    for i, (author, template) in enumerate(turns):
        draft = Draft(f"comment:{i}")
        draft.add(template, voice)
        at = created + (solved - created) * (i + 1) / len(turns)
        comments.append(Comment(body=draft.text, public=True, author_id=_author(author, voice), at=at))
        spans += draft.spans
    return tuple(comments), tuple(spans)


def _author(author: str, voice: Voice) -> str:
    agent = voice.group.name.lower().replace(" & ", "-").replace(" ", "-")
    return voice.requester.employee_id if author == "requester" else f"agent-{agent}"


def _noisy(group: Group, rng: Random) -> Group:
    if rng.random() >= LABEL_NOISE:
        return group
    return rng.choice([other for other in company().groups if other.name != group.name])


def _working_hour(moment: datetime, rng: Random) -> datetime:
    """Moved to office hours, nine times in ten to a weekday."""
    day = moment
    if day.weekday() >= 5 and rng.random() < 0.9:
        day -= timedelta(days=day.weekday() - 4)
    hour = min(20, max(6, round(rng.gauss(11, 3))))
    return day.replace(hour=hour, minute=rng.randint(0, 59), second=rng.randint(0, 59), microsecond=0)


def _draw(weights: dict[K, float], rng: Random) -> K:
    return rng.choices(list(weights), list(weights.values()))[0]
