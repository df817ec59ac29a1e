"""
The way to a page or a video, for a simple question that has no sure answer: the help desk's first word. Pure.

It is no answer and quotes nothing: it says where the documents come nearest, and that a person is one message away.
"""

from services.core.contracts.conversation import Action, Answer, Reason
from services.core.contracts.document import Evidence

HELP_DESK = 1  # the support level that is shown the way first; the levels behind it are written to
REDIRECTED = (Reason.WEAK_EVIDENCE, Reason.INSUFFICIENT_COVERAGE)
ON_THE_SUBJECT = 0.4  # cosine: where questions about the same products begin, answerable or not
SHOWN = 2


def redirected(given: Answer) -> Answer | None:
    """A hand-over as the way to what is nearest, a page before a video; None when nothing is on the subject."""
    near = {one.uri: one for one in reversed(given.evidence) if one.cosine >= ON_THE_SUBJECT}
    if given.action is not Action.HANDOFF or given.reason not in REDIRECTED or not near:
        return None
    shown = tuple(sorted(near.values(), key=_order))[:SHOWN]
    names = " and ".join(f'"{one.title}"' for one in shown)
    reply = (
        f"I am not certain of the answer. The help desk says more about this in {names}. "
        "If that does not help, write so, and a person takes over."
    )
    return given.model_copy(update={"action": Action.CLARIFY, "reply": reply, "evidence": shown})


def shows_sources(given: Answer) -> bool:
    """Whether its evidence is for the one who asks: behind an answer, or as the way to one."""
    return bool(given.claims) or (given.action is Action.CLARIFY and given.reason is not None)


def _order(evidence: Evidence) -> tuple[bool, float]:
    return evidence.start_s is not None, -evidence.cosine
