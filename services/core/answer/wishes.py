"""What a person asks of the conversation itself: a human, to be done, or nothing yet. By meaning and by words."""

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
    "I would rather not talk to a machine",
    "Can I get somebody on the phone?",
    "Is there anybody alive there?",
    "I need human help",
    "Stop the bot",
)
SAYS_DONE = ("Thanks, that solved it", "It works now, thank you", "That answered my question, thanks", "Problem solved")
SAYS_FAILED = (
    "That did not help",
    "It still does not work",
    "It doesn't work",
    "Still not working",
    "I tried that already",
    "This is not what I asked",
    "That is wrong",
)
ASKS_ABOUT_US = (
    "Who are you?",
    "What are you?",
    "What can you do?",
    "Are you a human?",
    "Are you a bot?",
    "Am I talking to a robot?",
    "Am I talking to a real person?",
    "What is this chat for?",
)
NEAR_ENOUGH = 0.62  # cosine to the nearest example; ordinary questions of the help desk stay below .5
FAILED = 0.75  # "The printer does not work" is a question
ABOUT_US = 0.75  # "What can you do about my printer?" is a question
SHORT_WORDS = 12  # longer messages go on to say something
HUMAN_WORDS = 8
STAFF_WORDS = 3
WORDS = re.compile(
    r"\b(?:(?:talk|speak|chat|connect|transfer|escalate|put (?:me|us) through)\w*\b.{0,40}"
    r"\b(?:human|person|agent|assistant|someone|somebody|anyone|representative|operator|supervisor|manager)\b"
    r"|(?:real|live|actual) (?:human|person|agent)|human being)\b",
    re.IGNORECASE,
)
# To speak, and whom with, in either order; the encoder reads English only.
CALLS_IN = {
    "de": (
        r"sprechen|reden|chatten|telefonieren|verbinden",
        r"mensch\w*|person|mitarbeiter\w*|sachbearbeiter\w*|berater\w*|kolleg\w*|jemand\w*|agenten|support",
    ),
    "fr": (
        r"parle\w*|discuter|échanger|joindre|contacter|relation",
        r"personne|humaine?|conseill\w+|agente?|quelqu['’]un|opérat\w+|technicien\w*|interlocuteur",
    ),
    "es": (
        r"habl\w+|chatear|p[aá]s[ae]\w*|comunic\w+|transf\w+",
        r"persona|humano|agente|alguien|operador\w*|asesor\w*|representante",
    ),
    "it": (
        r"parl\w+|chattare|passa\w+|contatto",
        r"persona|uman[oa]|operator[ei]|operatrice|qualcuno|addett[oa]|collega",
    ),
    "nl": (r"spreken|praten|chatten|doorverbinden|verbind\w*", r"mens\w*|persoon|medewerker\w*|iemand|collega"),
    "pl": (
        r"(?:po)?rozmawia\w*|pogada\w*|mówić|połącz\w*",
        r"człowiek\w*|osob\w*|konsultant\w*|pracowni\w*|doradc\w*|kimś|ktoś",
    ),
    "pt": (r"fal\w+|conversar|pass[ae]\w*|transf\w+", r"pessoa|humano|atendente|alguém|agente|operador\w*"),
}
FOREIGN = re.compile(
    "|".join(
        rf"\b(?:{verb})\b.{{0,40}}\b(?:{person})\b|\b(?:{person})\b.{{0,40}}\b(?:{verb})\b"
        for verb, person in CALLS_IN.values()
    ),
    re.IGNORECASE,
)
HUMAN = re.compile(
    r"\b(?:hu+mans?(?! resources)|hoomans?|menschen?|humaine?|humano|umano|mens|człowiek\w*)\b", re.IGNORECASE
)
# A word or two: "Mitarbeiter bitte". In a sentence it may be whom a question is about.
STAFF = re.compile(
    r"\b(?:mitarbeiter\w*|sachbearbeiter\w*|conseill\w+|agente|operatore|medewerker|konsultant\w*|atendente)\b",
    re.IGNORECASE,
)
GREETING = re.compile(
    r"(?:\W|\b(?:hello|hi|hiya|hey|yo|greetings|good|morning|afternoon|evening|day|there|all|everyone|team|dear|hallo|moin"
    r"|servus|guten|tag|morgen|abend|grüß|gott|bonjour|bonsoir|salut|hola|buenos|buenas|días|tardes|ciao)\b)+",
    re.IGNORECASE,
)
THANKS = re.compile(
    r"(?:\W|\b(?:thanks?|thx|ty|cheers|you|very|much|a|lot|so|many|great|ok|okay|perfect|super|danke|schön|sehr|vielen"
    r"|dank|merci|beaucoup|gracias|muchas)\b)+",
    re.IGNORECASE,
)
THANKING = re.compile(r"\b(?:thank|thanks|thx|ty|cheers|danke|dank|merci|gracias)\b", re.IGNORECASE)
ANSWERS_ONLY = re.compile(
    r"(?:\W|\b(?:yes|no|yep|nope|ok|okay|sure|maybe|ja|nein|oui|non|si|sí|test|help|hilfe|hey|hi|hello|please|can|could"
    r"|you|i|me|we|need|some|have|a|problem|question|issue|with|something)\b)+",
    re.IGNORECASE,
)


def asks_for_human(encoder: TextEncoder, text: str) -> bool:
    """Whether the person wants a person; an empty history makes no difference."""
    if asks_nothing(text):  # "I need help" is no call for a person before it has been said with what
        return False
    words = len(text.split())
    is_staff = words <= STAFF_WORDS and STAFF.search(text)
    is_call = words <= HUMAN_WORDS and HUMAN.search(text) and not _is_about_us(encoder, text)
    return bool(WORDS.search(text) or FOREIGN.search(text) or is_call or is_staff) or _is_near(
        encoder, text, ASKS_FOR_HUMAN
    )


def is_mere_call(text: str) -> bool:
    """Whether it is a call for a person and says nothing of the matter; by words alone."""
    return len(text.split()) <= HUMAN_WORDS and any(of.search(text) for of in (WORDS, FOREIGN, HUMAN))


def says_done(encoder: TextEncoder, text: str) -> bool:
    """Whether the person says that all is well."""
    is_short = len(text.split()) <= SHORT_WORDS and "?" not in text
    return is_short and (thanks(text) or _is_near(encoder, text, SAYS_DONE))


def says_failed(encoder: TextEncoder, text: str) -> bool:
    """Whether the person says that an answer was none; what else they say would be a question."""
    return len(text.split()) <= HUMAN_WORDS and _nearness(encoder, text, SAYS_FAILED) >= FAILED


def thanks(text: str) -> bool:
    """Whether it is thanks and nothing else."""
    return bool(THANKS.fullmatch(text) and THANKING.search(text))


def greets(text: str) -> bool:
    """Whether it is a greeting and nothing else."""
    return bool(GREETING.fullmatch(text)) and any(map(str.isalpha, text))


def asks_nothing(text: str) -> bool:
    """Whether there is nothing to look for: signs alone, or a yes or no to a question that was not put."""
    return bool(ANSWERS_ONLY.fullmatch(text))


def asks_about_us(encoder: TextEncoder, text: str) -> bool:
    """Whether it is about who answers here."""
    return len(text.split()) <= SHORT_WORDS and _is_about_us(encoder, text)


def _is_about_us(encoder: TextEncoder, text: str) -> bool:
    return _nearness(encoder, text, ASKS_ABOUT_US) >= ABOUT_US


def _is_near(encoder: TextEncoder, text: str, examples: tuple[str, ...]) -> bool:
    return _nearness(encoder, text, examples) >= NEAR_ENOUGH


def _nearness(encoder: TextEncoder, text: str, examples: tuple[str, ...]) -> float:
    return float(np.max(_embedded(encoder, examples) @ _embedded(encoder, (text,))[0]))


@lru_cache(maxsize=32)
def _embedded(encoder: TextEncoder, examples: tuple[str, ...]) -> Vectors:
    return encoder.embed(examples)
