"""Written from the gateway's OpenAPI file by `make contracts`; changes here are lost."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from pointsman.client.transport import Model, Transport


class AlikeAnswers(Model):
    """One group for several tickets, each with the mark that was seen."""

    group: str
    tickets: list[Seen]


class AlikeTaken(Model):
    """`refused`: answered by somebody else meanwhile, changed, or gone."""

    taken: list[Taken]
    refused: list[Refused]


class AlikeTicket(Model):
    """A waiting ticket that reads like another; `mark` as in OpenReview."""

    id: str
    subject: str | None
    score: float
    mark: str


class AuditEntry(Model):
    """An entry of the hash chain; `seq` and `hash` are None until it is linked into it."""

    seq: int | None
    at: datetime
    actor: str
    action: str
    detail: dict[str, Any]
    hash: str | None


Band = Literal['AUTO_ROUTE', 'HUMAN_REVIEW', 'ESCALATE']


class Catalogue(Model):
    """Every team, in the order in which they are offered."""

    teams: list[Team]


class ConsoleLink(Model):
    """`path` opens a session in the browser that asks for it first."""

    path: str
    expires_in_s: int


class Counts(Model):
    """How much of everything there is. `bands`: tickets by their newest decision."""

    tickets: int
    waiting: int
    reviews_open: int
    outbox_pending: int
    dead_letters: int
    workers: int
    model_version: str | None
    bands: dict[str, int]


class DeadLetter(Model):
    """A letter or a workflow that failed for good; `id` replays it."""

    id: str
    kind: str
    ticket_id: str | None
    connector: str | None
    attempts: int | None
    why: str | None
    since: datetime


class Decision(Model):
    """`band` is final: the router's suggestion after filters and degradation.
    `group` is None when nothing could be decided (router down): a person decides.
    `decided_by` names what made it: `router`, `filter`, `fallback`.
    `hours` and `breach`: until it is solved, and the chance that its SLA is missed, as learned; None where no head may
    say it."""

    ticket_id: str
    group: str | None
    confidence: float
    similarity: float | None = None
    band: Band
    top3: list[ScoredGroup] | None = None
    priority: Priority | None = None
    priority_reason: str | None = None
    priority_by: str | None = None
    summary: str | None = None
    reason: str
    decided_by: str | None = None
    model_version: str | None = None
    prompt_version: str | None = None
    hours: Hours | None = None
    breach: float | None = None
    shadow: bool | None = None
    latency_ms: float | None = None
    decided_at: datetime | None = None


class Drift(Model):
    """The present window against the one before it."""

    verdict: Literal['stable', 'shifted', 'too few decisions']
    now: Window
    before: Window
    tests: list[DriftTest]


class DriftTest(Model):
    """`has_shifted` needs both a small `p` and an effect worth looking at; None where there is too little to say."""

    name: Literal['labels', 'confidence']
    test: Literal['chi-squared', 'Kolmogorov-Smirnov']
    statistic: float | None = None
    p: float | None = None
    effect_name: Literal["Cramer's V", "Cliff's delta"]
    effect: float | None = None
    has_shifted: bool | None = None


class Feedback(Model):
    """Feedback"""

    group: str


class FeedbackTaken(Model):
    """`is_learnt_from`: a ticket's text is kept to learn from, a prediction's is not."""

    was_right: bool
    is_learnt_from: bool


class Health(Model):
    """`degraded`: tickets are still taken in, but something behind the gateway is down. `down`: senders must retry."""

    status: Literal['ok', 'degraded', 'down']
    version: str
    dependencies: dict[str, Literal['ok', 'down']]
    problem: str | None = None
    note: str | None = None
    workers: int | None = None
    tickets_waiting: int | None = None
    outbox_pending: int | None = None
    dead_letters: int | None = None
    model_version: str | None = None
    model_served: str | None = None
    silent_systems: list[SilentSystem] | None = None


class HookAnswer(Model):
    """`duplicate` and `ignored` are successes: the sender must not try again. `unusable`: nor would it help."""

    status: Literal['accepted', 'duplicate', 'ignored', 'unusable']
    ticket_id: str | None = None
    external_id: str | None = None
    why: str | None = None


class HookAnswers(Model):
    """For a call that bundles events: what became of each, in the call's order."""

    events: list[HookAnswer]


class Hours(Model):
    """Hours to resolution: as many tickets take longer than `middle` as shorter; four in five lie between the ends."""

    low: float
    middle: float
    high: float


class Judged(Model):
    """`right` of the `known`; `share` is None while nothing is known."""

    known: int
    right: int
    share: float | None


class Label(Model):
    """Where the ticket really belonged, and who said so."""

    group: str
    source: Literal['close', 'review', 'feedback']
    by: str | None
    at: datetime


class Letter(Model):
    """One effect on the ticketing system or the event sink, and what became of it."""

    id: int
    key: str
    kind: str
    state: str
    attempts: int
    last_error: str | None
    result: str | None
    created_at: datetime
    settled_at: datetime | None


class ModelCall(Model):
    """`usd` is None where no price is known for the model."""

    task: str
    model: str
    prompt_version: str | None
    input_tokens: int
    output_tokens: int
    usd: float | None
    outcome: str
    at: datetime


class NearTicket(Model):
    """A past ticket that reads alike, and where it was closed; `score` is a cosine."""

    external_id: str
    title: str
    group: str | None
    score: float


class Note(Model):
    """What was written for agents: the summary of a solved ticket, or tickets like this one."""

    kind: str
    body: dict[str, Any]
    at: datetime


class Numbered(Model):
    """The answer to take back, as it was told."""

    number: int


class OpenReview(Model):
    """A ticket that waits for a person. `mark` names what was read: sent along, an answer is refused when that changed.

    `proposals` have no words and `near` is empty until the worker has explained the ticket. `alike`: how many others
    wait that read like it."""

    id: str
    connector: str
    external_id: str
    subject: str | None
    body: str | None
    reason: str
    opened_at: datetime
    decision: Decision | None
    mark: str
    proposals: list[ProposedGroup]
    near: list[NearTicket]
    alike: int


class PlainTicket(Model):
    """A ticket as plain JSON, for forms, scripts and n8n. `metadata.external_id`, where given, makes a repeated call a
    duplicate instead of a second ticket, as the header Idempotency-Key does; with other content the key is refused.
    Other fields are not kept, and named in the answer: forms and flows send more than a ticket has. What is to be kept
    goes into `metadata`."""

    title: str
    description: str | None = None
    email: str | None = None
    priority: Literal['low', 'normal', 'high', 'urgent', None] | None = None
    source: str | None = None
    metadata: dict[str, Any] | None = None


class Predicted(Model):
    """`action` is what would happen to such a ticket; `escalation_reason` why not by itself. `confidence_category` follows
    the group's own threshold: high where it is right as often as it was asked to be. `sla_hours` is None where too few
    of the group's closed tickets say how long they took."""

    prediction_id: UUID
    group: str | None
    confidence: float
    confidence_category: Literal['high', 'medium', 'low']
    action: Band
    escalation_reason: str | None
    top3: list[ScoredGroup]
    sla_hours: SlaHours | None
    model_version: str | None
    processing_ms: float


class PredictedBatch(Model):
    """In the order of the questions."""

    predictions: list[Predicted]
    processing_ms: float


class PredictionFeedback(Model):
    """Which group was right, for a ticket or for a prediction: one of the two."""

    group: str
    ticket_id: int | None = None
    prediction_id: UUID | None = None


Priority = Literal['low', 'normal', 'high', 'urgent']


class ProposedGroup(Model):
    """One of the first three: `words` are those without which it would be less likely."""

    group: str
    probability: float
    words: list[str]
    near: list[NearTicket]


class Question(Model):
    """A text as it came, before redaction. `priority`: for teams that take tickets by themselves only from one on."""

    title: str | None = None
    description: str | None = None
    priority: Priority | None = None


class Questions(Model):
    """Questions"""

    questions: list[Question]


class Refused(Model):
    """Refused"""

    ticket_id: str
    why: str


class Replay(Model):
    """Everything that is dead, when `id` is not given."""

    id: str | None = None


class Review(Model):
    """Why a person was asked, and the answer."""

    reason: str
    state: Literal['open', 'accepted', 'corrected', 'no_group', 'not_a_ticket']
    group: str | None
    answers: int
    closed_by: str | None
    opened_at: datetime
    closed_at: datetime | None


class ReviewAnswer(Model):
    """Without `group` the proposed one is accepted. `verdict` says where there is none: `no_group`, `not_a_ticket`.

    With `mark`, as the queue tells it, a ticket whose text or decision changed since is not answered but refused."""

    group: str | None = None
    verdict: Literal['group', 'no_group', 'not_a_ticket'] | None = None
    mark: str | None = None


class Savings(Model):
    """Hours that automatic routes saved: each right one `minutes_saved_per_ticket`, each wrong one cost
    `correction_minutes`. Only how many were right is measured; the minutes are the caller's assumption."""

    minutes_saved_per_ticket: float
    correction_minutes: float
    hours: float | None


class ScoredGroup(Model):
    """ScoredGroup"""

    group: str
    probability: float


class Seen(Model):
    """Seen"""

    ticket_id: int
    mark: str


class SilentSystem(Model):
    """A ticketing system that does not answer. `tickets_waiting`: for it alone, to be read or to be written."""

    system: str
    since: datetime
    tickets_waiting: int


class SlaHours(Model):
    """What the group's closed tickets took, from opening to solution: half of them, nine in ten."""

    median: float
    low: float
    high: float
    from_tickets: int


class Stats(Model):
    """Of the tickets decided in the window. A ticket is judged once a person or its closing said where it belonged."""

    days: int
    tickets: int
    bands: dict[str, int]
    automation_rate: float | None
    accuracy: Judged
    accuracy_automatic: Judged
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    model_usd: float
    predictions: int
    predictions_accuracy: Judged
    savings: Savings


class Taken(Model):
    """What became of an answer. `number` names it to `undo`."""

    ticket_id: str
    review: Literal['accepted', 'corrected', 'no_group', 'not_a_ticket']
    group: str | None
    number: int


class Team(Model):
    """`name` is the group's name in the ticketing system, `description` what the models read about it.

    Below `priority_threshold` a ticket for this team goes to a person instead of being routed by itself. Teams that are
    not `active` get no ticket; they stay, because old decisions name them.

    `support_level` 1 is the help desk: the chat shows the way to the nearest page or video before it calls one of them.
    2 and 3, and a team without one, are written to by e-mail, too, where that is configured."""

    name: str
    description: str | None = None
    department: str | None = None
    system: str | None = None
    priority_threshold: Priority | None = None
    support_level: int | None = None
    active: bool | None = None


class TicketAnswer(Model):
    """`decision`: how the ticket was routed, where the caller asked to wait and it was decided in time. `ignored`: fields
    of the call that mean nothing here; a misspelt one shows."""

    status: Literal['accepted', 'duplicate', 'ignored', 'unusable']
    ticket_id: str | None = None
    external_id: str | None = None
    why: str | None = None
    decision: Decision | None = None
    ignored: list[str] | None = None


class TicketDetail(Model):
    """One ticket and all that happened to it. Text is the redacted one; None before that and after an erasure."""

    id: str
    connector: str
    external_id: str
    status: str
    state: Literal['received', 'triaged', 'filtered', 'erased']
    language: str | None
    subject: str | None
    body: str | None
    current_group: str | None
    created_at: datetime
    updated_at: datetime
    deliveries: list[Told]
    decisions: list[Decision]
    review: Review | None
    labels: list[Label]
    notes: list[Note]
    outbox: list[Letter]
    model_calls: list[ModelCall]
    audit: list[AuditEntry]


class TicketPage(Model):
    """`next_before` is the `before` of the next page; None on the last."""

    tickets: list[TicketRow]
    next_before: int | None


class TicketRow(Model):
    """A ticket in a list; `decision` is the newest, None while it is being triaged."""

    id: str
    connector: str
    external_id: str
    status: str
    state: Literal['received', 'triaged', 'filtered', 'erased']
    subject: str | None
    created_at: datetime
    decision: Decision | None
    review: Literal['open', 'accepted', 'corrected', 'no_group', 'not_a_ticket'] | None


class Told(Model):
    """A delivery that told of the ticket."""

    kind: str
    delivery_id: str
    received_at: datetime


class WaitingLetter(Model):
    """A letter that has failed and is tried again at `due_at`; it waits for its system, however long."""

    id: str
    kind: str
    ticket_id: str | None
    connector: str | None
    attempts: int
    why: str
    since: datetime
    due_at: datetime


class Wanted(Model):
    """Wanted"""

    ids: list[int]


class Window(Model):
    """`decisions`: how many were looked at, the newest of the window first, at most 20,000."""

    from_days_ago: int
    to_days_ago: int
    decisions: int
    model_versions: list[str]
    groups: dict[str, int]
    median_confidence: float | None


class Pointsman(Transport):
    """One method per operation. Raises PointsmanRefused and NotReached."""

    def accept_alike(self, body: AlikeAnswers) -> AlikeTaken:
        """One group for several tickets; each is taken or refused by itself."""
        return self._call("POST", "/api/reviews/accept", AlikeTaken, body=body)

    def create_console_link(self) -> ConsoleLink:
        """A link into the console with the caller's name and role, for one use within ten minutes."""
        return self._call("POST", "/api/console-links", ConsoleLink)

    def erase_ticket(self, ticket_id: int) -> dict[str, str]:
        """Removes for good what was said in the ticket; asking twice is asking once."""
        return self._call("POST", f"/api/tickets/{ticket_id}/erase", dict[str, str])

    def give_feedback(self, ticket_id: int, body: Feedback) -> dict[str, str]:
        """Says afterwards which group was right; learnt from, not written back."""
        return self._call("POST", f"/api/tickets/{ticket_id}/feedback", dict[str, str], body=body)

    def judge_prediction(self, body: PredictionFeedback) -> FeedbackTaken:
        """Says which group was right; nothing is written back to a ticketing system."""
        return self._call("POST", "/feedback", FeedbackTaken, body=body)

    def list_alike(self, ticket_id: int) -> list[AlikeTicket]:
        """Waiting tickets that read like this one and have the same group proposed."""
        return self._call("GET", f"/api/reviews/{ticket_id}/alike", list[AlikeTicket])

    def list_dead_letters(self, *, limit: int | None = None, since: datetime | None = None, id: str | None = None) -> list[DeadLetter]:
        """Write-backs, events and workflows that failed for good, newest first, a page at a time: the next page comes with
        `since` and `id` of the last one on this."""
        return self._call("GET", "/api/dead-letters", list[DeadLetter], query={'limit': limit, 'since': since, 'id': id})

    def list_reviews(self, *, limit: int | None = None, order: Literal['information', 'age'] | None = None) -> list[OpenReview]:
        """Tickets that wait for a person: by `information` those whose answer teaches most, by `age` the oldest."""
        return self._call("GET", "/api/reviews", list[OpenReview], query={'limit': limit, 'order': order})

    def list_tickets(self, *, limit: int | None = None, before: int | None = None, band: Band | None = None, group: str | None = None, state: Literal['received', 'triaged', 'filtered', 'erased'] | None = None) -> TicketPage:
        """Newest first, a page at a time."""
        return self._call("GET", "/api/tickets", TicketPage, query={'limit': limit, 'before': before, 'band': band, 'group': group, 'state': state})

    def list_waiting_letters(self, *, limit: int | None = None) -> list[WaitingLetter]:
        """Write-backs and events that have failed and are tried again at `due_at`, oldest first: why, and how often."""
        return self._call("GET", "/api/waiting-letters", list[WaitingLetter], query={'limit': limit})

    def look_tickets_up(self, body: Wanted) -> list[TicketRow]:
        """Several tickets by our ids; ids that do not exist are left out."""
        return self._call("POST", "/api/tickets/lookup", list[TicketRow], body=body)

    def predict(self, body: Question) -> Predicted:
        """What would be decided of one text. Nothing is opened, written or kept of it."""
        return self._call("POST", "/predict", Predicted, body=body)

    def predict_batch(self, body: Questions) -> PredictedBatch:
        """Up to 256 texts at once, of 200,000 characters together."""
        return self._call("POST", "/predict/batch", PredictedBatch, body=body)

    def put_team(self, body: Team) -> Catalogue:
        """Adds or changes one team, found by its name."""
        return self._call("PUT", "/api/catalogue/teams", Catalogue, body=body)

    def read_catalogue(self) -> Catalogue:
        """Every team that tickets are or were routed to."""
        return self._call("GET", "/api/catalogue", Catalogue)

    def read_drift(self, *, days: int | None = None, reference_days: int | None = None) -> Drift:
        """Whether groups and confidence of the last `days` differ from the `reference_days` before them."""
        return self._call("GET", "/monitoring/drift", Drift, query={'days': days, 'reference_days': reference_days})

    def read_health(self) -> Health:
        """200 while tickets can be taken in, 503 when they cannot."""
        return self._call("GET", "/health", Health)

    def read_stats(self, *, days: int | None = None, minutes_saved: float | None = None, correction_minutes: float | None = None) -> Stats:
        """How well it went and what it saved, from what was stored in the last `days`."""
        return self._call("GET", "/stats", Stats, query={'days': days, 'minutes_saved': minutes_saved, 'correction_minutes': correction_minutes})

    def read_status(self) -> Counts:
        """Counts of tickets, reviews, dead letters, by band; the model in use."""
        return self._call("GET", "/api/status", Counts)

    def read_ticket(self, ticket_id: int) -> TicketDetail:
        """Everything about one ticket: decisions and why, review, labels, notes, outbox, model calls, audit."""
        return self._call("GET", f"/api/tickets/{ticket_id}", TicketDetail)

    def receive_plain_ticket(self, body: PlainTicket, *, idempotency_key: str | None = None, prefer: str | None = None) -> TicketAnswer:
        """A ticket as plain JSON: it is opened in the built-in desk and triaged like any other.

        With `Prefer: wait=10` the answer comes with the decision, 200, or after that many seconds without it, 202."""
        return self._call("POST", "/webhook/ticket", TicketAnswer, body=body, headers={'idempotency-key': idempotency_key, 'prefer': prefer})

    def replace_catalogue(self, body: Catalogue) -> Catalogue:
        """The whole catalogue at once; teams that are not named are switched off. The next ticket is decided by it."""
        return self._call("PUT", "/api/catalogue", Catalogue, body=body)

    def replay_dead_letters(self, body: Replay) -> dict[str, int]:
        """Tries one again, or all; keys stay the same, so nothing takes effect twice."""
        return self._call("POST", "/api/dead-letters/replay", dict[str, int], body=body)

    def review_ticket(self, ticket_id: int, body: ReviewAnswer) -> Taken:
        """Accepts the proposed group, names the right one, or says that there is none; written back and learnt from."""
        return self._call("POST", f"/api/tickets/{ticket_id}/review", Taken, body=body)

    def undo_review(self, ticket_id: int, body: Numbered) -> dict[str, str]:
        """Takes one's own newest answer back, a quarter of an hour at most; the ticket waits again."""
        return self._call("POST", f"/api/tickets/{ticket_id}/review/undo", dict[str, str], body=body)
