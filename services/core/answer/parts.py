"""Two questions in one message are two questions. Pure."""

import re

from services.core.contracts.conversation import Action, Answer

PARTS_MAX = 3
WORDS_MIN = 3  # a shorter part leans on the one before it
ASKS = "how|what|who|where|when|which|why|can|could|do|does|is|are|will|should"
BEGINS = re.compile(rf"(?:{ASKS})\b", re.IGNORECASE)
BETWEEN = re.compile(rf"\?\s+(?:and\s+|also\s+)?|,?\s+(?:and|also)\s+(?=(?:{ASKS})\s)", re.IGNORECASE)


def parts(text: str) -> tuple[str, ...]:
    """The questions in a message, two or three of them; nothing when it is one, or cannot be taken apart."""
    found = tuple(part.strip() for part in BETWEEN.split(text) if part.strip())
    is_several = 2 <= len(found) <= PARTS_MAX and all(map(_is_question, found))
    return found if is_several else ()


def together(answers: list[Answer]) -> Answer:
    """One answer from those to the parts, as sure as the least sure of them."""
    claims = tuple(dict.fromkeys(claim for one in answers for claim in one.claims))
    evidence = {one.chunk_id: one for answer in answers for one in answer.evidence}
    return Answer(
        action=Action.CONTINUE,
        reply="\n".join(claim.text for claim in claims),
        claims=claims,
        evidence=tuple(evidence.values()),
        confidence=min(one.confidence for one in answers),
    )


def _is_question(part: str) -> bool:
    return bool(BEGINS.match(part)) and len(part.split()) >= WORDS_MIN
