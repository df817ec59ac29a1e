"""One turn: a question and what was found -> an answer, a question back, or a person. Never a guess."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import numpy as np
import structlog

from services.core.answer import clarify, wishes
from services.core.answer import said as words
from services.core.answer.gate import Calibration, Mode, passes_over
from services.core.answer.parts import parts, together
from services.core.answer.passage import contradicts, passage
from services.core.answer.signals import Signals, read
from services.core.answer.support import is_supported
from services.core.answer.written import Unwritten, Write, Written
from services.core.contracts.conversation import Action, Answer, Claim, Reason
from services.core.contracts.document import Evidence
from services.core.kit.stages import Stages
from services.core.llm.reply import is_cited
from services.core.search.encoder import TextEncoder, Vectors
from services.core.search.retrieve import Found, Question, meant_vector
from services.core.search.topics import unless_new

log = structlog.get_logger()

FAR_AWAY = 0.25  # cosine: nothing here is about that; the labelled unanswerable questions, which are about the same
# products, lie at .4 to .7
CLARIFY_CHOICES = 3
TOPIC_MARGIN = 0.15  # cosine below the nearest: what a person would still take for the same subject
# What only a draft can be guilty of: the documents' own words passed the gate before it was asked for.
OWN_FAULTS = (Reason.MISSING_CITATION, Reason.UNSUPPORTED_CLAIM)


@dataclass(frozen=True)
class Rules:
    """How answers are decided in this deployment."""

    calibration: Calibration
    mode: Mode = Mode.STANDARD
    falls_back: bool = True  # to the documents' own words when the language model fails or says what they do not


Search = Callable[[Question, Vectors], Awaitable[Found]]


@dataclass(frozen=True)
class Means:
    """
    What an answer is made with. `search` finds what this caller may read; `write`, where a language model is
    configured, words what passed the gate, and passes it again.
    """

    encoder: TextEncoder
    rules: Rules
    search: Search
    write: Write | None = None


async def answer(means: Means, question: Question, *, asked_back: bool = False, stages: Stages | None = None) -> Answer:
    """
    The answer to a redacted question. Having just `asked_back`, it does not ask again.

    Everything that computes does so beside the event loop: other conversations go on meanwhile.
    """
    clock = stages or Stages()
    with clock.stage("understand"):
        said = await asyncio.to_thread(_understand, means.encoder, question, asked_back)
    if isinstance(said, Answer):
        return said
    if means.write is None and (several := await _answer_parts(means, question, clock)) is not None:
        return several
    return await answer_from_evidence(means, question, said, asked_back=asked_back, stages=clock)


async def answer_from_evidence(
    means: Means, question: Question, vector: Vectors, *, asked_back: bool = False, stages: Stages | None = None
) -> Answer:
    """What the documents say about it, or why not; nothing is read into what the person may want of us."""
    clock = stages or Stages()
    with clock.stage("search"):
        found = await unless_new(means.encoder, question, await means.search(question, vector), means.search)
    with clock.stage("judge"):
        judged = await asyncio.to_thread(_judge, means, found, asked_back)
    if judged.action is not Action.CONTINUE or means.write is None:
        return judged
    with clock.stage("write"):
        written = await means.write(found)
    if isinstance(written, Unwritten):
        log.warning("answer.model.unused", why=written.why)
        return judged if means.rules.falls_back else _in_vain(question, judged)
    with clock.stage("check"):
        weighed = await asyncio.to_thread(
            weigh, means.encoder, written, found, judged.confidence, asked_back=asked_back
        )
    if weighed.reason in OWN_FAULTS and means.rules.falls_back:
        log.warning("answer.model.unused", why=weighed.reason)
        return judged
    return weighed


def decide(encoder: TextEncoder, found: Found, signals: Signals, rules: Rules, *, asked_back: bool = False) -> Answer:
    """What to do with what was found."""
    asked = found.question.text
    if not found.evidence:
        return hand_off(Reason.NO_EVIDENCE, question=asked)
    probability = rules.calibration.probability(signals)
    if signals.nearness < FAR_AWAY:
        return hand_off(Reason.OUT_OF_SCOPE, question=asked, confidence=probability)
    if not asked_back and passes_over(signals):
        return _ask_for_a_sentence(found, probability)
    if not asked_back and _is_unclear(found, signals, rules):
        return _ask_back(found, probability)
    if not rules.calibration.answers(signals, rules.mode):
        reason = why_not(signals, rules.calibration)
        return hand_off(reason, question=asked, evidence=found.evidence[:CLARIFY_CHOICES], confidence=probability)
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


def weigh(
    encoder: TextEncoder, written: Written, found: Found, confidence: float, *, asked_back: bool = False
) -> Answer:
    """
    What a language model drafted, if it may be said: each claim cites a passage that says so, and no other contradicts.

    Only the claims are ever shown. The draft cannot close a conversation, nor word a question back.
    """
    draft, evidence, shown = written.draft, written.evidence, written.evidence[:CLARIFY_CHOICES]
    if draft.action is Action.CLARIFY and not asked_back:
        return _ask_back(found, confidence)
    if draft.action is not Action.CONTINUE:
        return hand_off(
            draft.reason or Reason.EVALUATOR_LOW, evidence=evidence[:CLARIFY_CHOICES], confidence=confidence
        )
    if not is_cited(draft, len(evidence)):
        return hand_off(Reason.MISSING_CITATION, evidence=shown, confidence=confidence)
    for one in draft.claims:
        if not is_supported(encoder, one.text, [evidence[place - 1].text for place in one.citations]):
            return hand_off(Reason.UNSUPPORTED_CLAIM, evidence=shown, confidence=confidence)
    claims = tuple(
        Claim(text=one.text, citations=tuple(dict.fromkeys(evidence[place - 1].chunk_id for place in one.citations)))
        for one in draft.claims
    )
    if (other := contradicts(encoder, claims, evidence)) is not None:
        return hand_off(Reason.CONFLICTING_SOURCES, evidence=(evidence[0], other), confidence=confidence)
    return Answer(
        action=Action.CONTINUE,
        reply="\n".join(claim.text for claim in claims),
        claims=claims,
        evidence=_cited(evidence, claims),
        confidence=confidence,
        by=written.by,
    )


def hand_off(
    reason: Reason, *, question: str = "", evidence: tuple[Evidence, ...] = (), confidence: float = 0.0
) -> Answer:
    """To a person, told to the one who asks at once, in the question's language. `evidence` is for the agent."""
    reply = words.handed_off(reason, question)
    return Answer(action=Action.HANDOFF, reply=reply, evidence=evidence, reason=reason, confidence=confidence)


def why_not(signals: Signals, calibration: Calibration) -> Reason:
    """The signal that speaks loudest against an answer, in the words of the canonical list."""
    if passes_over(signals):
        return Reason.INSUFFICIENT_COVERAGE
    model = calibration.answerable
    pulls = (np.array(signals.row()) - np.array(model.mean)) / np.array(model.scale) * np.array(model.weights)
    weakest = model.names[int(np.argmin(pulls))]
    return Reason.INSUFFICIENT_COVERAGE if weakest in ("coverage", "terms") else Reason.WEAK_EVIDENCE


def _understand(encoder: TextEncoder, question: Question, asked_back: bool) -> Answer | Vectors:
    """What is asked of the conversation itself is answered at once; else what to search for."""
    text = question.text
    if wishes.asks_for_human(encoder, text):
        return hand_off(Reason.ASKED_FOR_HUMAN, question=text)
    if question.reply and wishes.says_failed(encoder, text):
        return hand_off(Reason.EVALUATOR_LOW, question=text)
    if question.previous and wishes.says_done(encoder, text):
        return Answer(action=Action.RESOLVE, reply=words.RESOLVED)
    if (small := _small_talk(encoder, text, asked_back)) is not None:
        return Answer(action=Action.CLARIFY, reply=small)
    return meant_vector(encoder, question)


def _small_talk(encoder: TextEncoder, text: str, asked_back: bool) -> str | None:
    """What to say to words that ask the documents nothing; nobody is called for them."""
    if wishes.greets(text):
        return words.GREETING
    if wishes.thanks(text):
        return words.WELCOME
    if not text.strip() or (wishes.asks_nothing(text) and not asked_back):
        return words.SAY_SOMETHING
    return words.ABOUT_US if wishes.asks_about_us(encoder, text) else None


async def _answer_parts(means: Means, question: Question, clock: Stages) -> Answer | None:
    """Several questions in one message: all of their answers, or a person. None when it is one, or unclear."""
    answers: list[Answer] = []
    for part in parts(question.text):
        alone = replace(question, text=part)
        with clock.stage("understand"):
            vector = await asyncio.to_thread(meant_vector, means.encoder, alone)
        answers.append(await answer_from_evidence(means, alone, vector, stages=clock))
    if not answers or any(one.action is Action.CLARIFY for one in answers):
        return None
    if all(one.action is Action.CONTINUE for one in answers):
        return together(answers)
    evidence = tuple(one for answer in answers for one in answer.evidence)[:CLARIFY_CHOICES]
    lowest = min(one.confidence for one in answers)
    return hand_off(Reason.INSUFFICIENT_COVERAGE, question=question.text, evidence=evidence, confidence=lowest)


def _in_vain(question: Question, judged: Answer) -> Answer:
    return hand_off(Reason.LLM_ERROR, question=question.text, confidence=judged.confidence)


def _judge(means: Means, found: Found, asked_back: bool) -> Answer:
    return decide(means.encoder, found, read(means.encoder, found), means.rules, asked_back=asked_back)


def _is_unclear(found: Found, signals: Signals, rules: Rules) -> bool:
    features = clarify.features(found.question, signals)
    return rules.calibration.unclear.probability(features) >= rules.calibration.clarify


def _ask_for_a_sentence(found: Found, probability: float) -> Answer:
    """To keywords of which one is nowhere: what is near, and that more words would help."""
    titles = list(dict.fromkeys(one.title for one in _near(found) if one.title))[:CLARIFY_CHOICES]
    about = f" The nearest I have: {'; '.join(titles)}." if titles else ""
    reply = f"I found nothing about all of these words.{about} Please write in a sentence what you would like to know."
    return Answer(action=Action.CLARIFY, reply=reply, evidence=found.evidence[:CLARIFY_CHOICES], confidence=probability)


def _near(found: Found) -> list[Evidence]:
    best = max((one.cosine for one in found.evidence), default=0.0)
    return [one for one in found.evidence if one.cosine >= best - TOPIC_MARGIN]


def _ask_back(found: Found, probability: float) -> Answer:
    """Names what the question could be about, by the documents that were found; those far from it are left out."""
    near = _near(found)
    titles = dict.fromkeys(one.title for one in near if one.title)
    names = list(titles if len(titles) > 1 else dict.fromkeys(one.heading[-1] for one in near if one.heading))
    about = f" Is it about one of these: {'; '.join(names[:CLARIFY_CHOICES])}?" if names else ""
    reply = f"Your question could mean several things.{about} Please say which one you mean."
    return Answer(action=Action.CLARIFY, reply=reply, evidence=found.evidence[:CLARIFY_CHOICES], confidence=probability)


def _cited(evidence: tuple[Evidence, ...], claims: tuple[Claim, ...]) -> tuple[Evidence, ...]:
    wanted = {cited for claim in claims for cited in claim.citations}
    return tuple(one for one in evidence if one.chunk_id in wanted)
