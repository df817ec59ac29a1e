"""One turn: a question and what was found -> an answer, a question back, or a person. Never a guess."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from services.core.answer import clarify, wishes
from services.core.answer.gate import Calibration, Mode
from services.core.answer.passage import contradicts, passage
from services.core.answer.signals import Signals, read
from services.core.contracts.conversation import Action, Answer, Claim, Reason
from services.core.contracts.document import Evidence
from services.core.kit.stages import Stages
from services.core.search.encoder import TextEncoder, Vectors
from services.core.search.retrieve import Found, Question, meant_vector

FAR_AWAY = 0.25  # cosine: nothing here is about that; the labelled unanswerable questions, which are about the same
# products, lie at .4 to .7
CLARIFY_CHOICES = 3

HANDED_OFF = "I am handing this to a person, who gets our conversation and answers here."
SAID = {
    Reason.NO_EVIDENCE: "I found nothing about this in the documents. " + HANDED_OFF,
    Reason.OUT_OF_SCOPE: "This is not something the documents cover. " + HANDED_OFF,
    Reason.WEAK_EVIDENCE: "I found nothing that answers this for certain. " + HANDED_OFF,
    Reason.INSUFFICIENT_COVERAGE: "What I found covers only a part of your question. " + HANDED_OFF,
    Reason.CONFLICTING_SOURCES: "The documents contradict each other about this. " + HANDED_OFF,
    Reason.ASKED_FOR_HUMAN: HANDED_OFF,
}
SAY_SOMETHING = "Please write what you would like to know."
RESOLVED = "Glad to hear it. This conversation is closed; write again at any time."


@dataclass(frozen=True)
class Rules:
    """How answers are decided in this deployment."""

    calibration: Calibration
    mode: Mode = Mode.STANDARD


Search = Callable[[Question, Vectors], Awaitable[Found]]


@dataclass(frozen=True)
class Means:
    """What an answer is made with. `search` finds what this caller may read."""

    encoder: TextEncoder
    rules: Rules
    search: Search


async def answer(means: Means, question: Question, *, asked_back: bool = False, stages: Stages | None = None) -> Answer:
    """
    The answer to a redacted question. Having just `asked_back`, it does not ask again.

    Everything that computes does so beside the event loop: other conversations go on meanwhile.
    """
    clock = stages or Stages()
    with clock.stage("understand"):
        said = await asyncio.to_thread(_understand, means.encoder, question)
    if isinstance(said, Answer):
        return said
    with clock.stage("search"):
        found = await means.search(question, said)
    with clock.stage("judge"):
        return await asyncio.to_thread(_judge, means, found, asked_back)


def decide(encoder: TextEncoder, found: Found, signals: Signals, rules: Rules, *, asked_back: bool = False) -> Answer:
    """What to do with what was found."""
    if not found.evidence:
        return hand_off(Reason.NO_EVIDENCE)
    probability = rules.calibration.probability(signals)
    if signals.nearness < FAR_AWAY:
        return hand_off(Reason.OUT_OF_SCOPE, confidence=probability)
    if not asked_back and _is_unclear(found, signals, rules):
        return _ask_back(found, probability)
    if probability < rules.calibration.threshold(rules.mode):
        reason = why_not(signals, rules.calibration)
        return hand_off(reason, evidence=found.evidence[:CLARIFY_CHOICES], confidence=probability)
    claims = passage(encoder, found)
    if (other := contradicts(encoder, claims, found.evidence)) is not None:
        return hand_off(Reason.CONFLICTING_SOURCES, evidence=(found.evidence[0], other), confidence=probability)
    return check(
        Answer(
            action=Action.CONTINUE,
            reply="\n".join(claim.text for claim in claims),
            claims=claims,
            evidence=_cited(found.evidence, claims),
            confidence=probability,
        )
    )


def check(answer: Answer) -> Answer:
    """The answer, if every claim stands word for word in the evidence it cites and the reply holds nothing else."""
    texts = {one.chunk_id: one.text for one in answer.evidence}
    for claim in answer.claims:
        if any(cited not in texts for cited in claim.citations):
            return hand_off(Reason.MISSING_CITATION, confidence=answer.confidence)
        if not any(claim.text in texts[cited] for cited in claim.citations):
            return hand_off(Reason.UNSUPPORTED_CLAIM, confidence=answer.confidence)
    if answer.reply != "\n".join(claim.text for claim in answer.claims):
        return hand_off(Reason.UNSUPPORTED_CLAIM, confidence=answer.confidence)
    return answer


def hand_off(reason: Reason, *, evidence: tuple[Evidence, ...] = (), confidence: float = 0.0) -> Answer:
    """To a person, told to the one who asks at once. `evidence` is for the agent."""
    reply = SAID.get(reason, SAID[Reason.WEAK_EVIDENCE])
    return Answer(action=Action.HANDOFF, reply=reply, evidence=evidence, reason=reason, confidence=confidence)


def why_not(signals: Signals, calibration: Calibration) -> Reason:
    """The signal that speaks loudest against an answer, in the words of the canonical list."""
    model = calibration.answerable
    pulls = (np.array(signals.row()) - np.array(model.mean)) / np.array(model.scale) * np.array(model.weights)
    weakest = model.names[int(np.argmin(pulls))]
    return Reason.INSUFFICIENT_COVERAGE if weakest in ("coverage", "terms") else Reason.WEAK_EVIDENCE


def _understand(encoder: TextEncoder, question: Question) -> Answer | Vectors:
    """What is asked of the conversation itself is answered at once; else what to search for."""
    if not question.text.strip():
        return Answer(action=Action.CLARIFY, reply=SAY_SOMETHING)
    if wishes.asks_for_human(encoder, question.text):
        return hand_off(Reason.ASKED_FOR_HUMAN)
    if question.previous and wishes.says_done(encoder, question.text):
        return Answer(action=Action.RESOLVE, reply=RESOLVED)
    return meant_vector(encoder, question)


def _judge(means: Means, found: Found, asked_back: bool) -> Answer:
    return decide(means.encoder, found, read(means.encoder, found), means.rules, asked_back=asked_back)


def _is_unclear(found: Found, signals: Signals, rules: Rules) -> bool:
    features = clarify.features(found.question, signals)
    return rules.calibration.unclear.probability(features) >= rules.calibration.clarify


def _ask_back(found: Found, probability: float) -> Answer:
    """Names what the question could be about, by the documents that were found."""
    names = list(dict.fromkeys(_topic(one) for one in found.evidence if _topic(one)))[:CLARIFY_CHOICES]
    about = f" Is it about one of these: {'; '.join(names)}?" if names else ""
    reply = f"Your question could mean several things.{about} Please say which one you mean."
    return Answer(action=Action.CLARIFY, reply=reply, evidence=found.evidence[:CLARIFY_CHOICES], confidence=probability)


def _topic(evidence: Evidence) -> str:
    return evidence.heading[-1] if evidence.heading else evidence.title


def _cited(evidence: tuple[Evidence, ...], claims: tuple[Claim, ...]) -> tuple[Evidence, ...]:
    wanted = {cited for claim in claims for cited in claim.citations}
    return tuple(one for one in evidence if one.chunk_id in wanted)
