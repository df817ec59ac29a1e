"""What a person asks of the conversation itself: a human, or to be done. By meaning, not by keywords alone."""

import re
from functools import lru_cache

import numpy as np

from services.core.search.encoder import TextEncoder, Vectors

ASKS_FOR_HUMAN = (
    "I want to talk to a human",
    "Can I speak with a real person?",
    "Connect me to an agent, please",
    "Let me chat with someone from support",
    "Get me a representative",
    "I need a person, not a bot",
    "Please transfer me to the help desk staff",
    "Call me back",
    "Open a ticket for me",
)
SAYS_DONE = ("Thanks, that solved it", "It works now, thank you", "That answered my question, thanks", "Problem solved")
NEAR_ENOUGH = 0.62  # cosine to the nearest example; ordinary questions of the help desk stay below .5
DONE_MAX_WORDS = 12  # longer messages go on to say something
WORDS = re.compile(
    r"\b(?:(?:talk|speak|chat|connect|transfer|escalate)\w*\b.{0,40}\b(?:human|person|agent|someone|representative|operator)"
    r"|(?:real|live|actual) (?:human|person|agent)|human being|mit (?:einem|einer) (?:menschen|mitarbeiter\w*) sprechen"
    r"|parler à (?:un humain|une personne|un agent)|hablar con (?:una persona|un humano|un agente))\b",
    re.IGNORECASE,
)


def asks_for_human(encoder: TextEncoder, text: str) -> bool:
    """Whether the person wants a person; an empty history makes no difference."""
    return bool(WORDS.search(text)) or _is_near(encoder, text, ASKS_FOR_HUMAN)


def says_done(encoder: TextEncoder, text: str) -> bool:
    """Whether the person says that all is well."""
    is_short = len(text.split()) <= DONE_MAX_WORDS and "?" not in text
    return is_short and _is_near(encoder, text, SAYS_DONE)


def _is_near(encoder: TextEncoder, text: str, examples: tuple[str, ...]) -> bool:
    return float(np.max(_embedded(encoder, examples) @ encoder.embed([text])[0])) >= NEAR_ENOUGH


@lru_cache(maxsize=4)
def _embedded(encoder: TextEncoder, examples: tuple[str, ...]) -> Vectors:
    return encoder.embed(examples)
