"""What became of a ticket, as columns of an export say it: hours, breach of its target, impact, urgency."""

import re
from math import isfinite

YES, NO = frozenset({"true", "yes", "1", "t", "y"}), frozenset({"false", "no", "0", "f", "n"})
# Of the words and numbers that systems use, 1 is the highest, as ITIL counts; none of them is a person's own text.
LEVEL_WORDS = {
    "high": "high hoch haute alta critical urgent major extensive widespread",
    "medium": "medium mittel moyenne media normal moderate significant",
    "low": "low niedrig basse baja minor localized",
}
LEVELS = {word: level for level, words in LEVEL_WORDS.items() for word in words.split()}
NUMBERS = {"1": "high", "2": "medium", "3": "low"}


def hours(said: str) -> float | None:
    try:
        found = float(said)
    except ValueError:
        return None
    return found if isfinite(found) and found >= 0 else None


def breached(said: str, kept: str) -> bool | None:
    """From a column that says so, or from one that says that the target was kept."""
    word, turned = (said.casefold(), False) if said else (kept.casefold(), True)
    return None if word not in YES | NO else (word in YES) != turned


def level(said: str) -> str | None:
    """`high`, `medium` or `low`, of `2 - Medium`, `High` or `2`; None of what may be anybody's text."""
    words = re.findall(r"\w+", said.casefold())
    named = next((LEVELS[word] for word in words if word in LEVELS), None)
    return named or (NUMBERS.get(words[0]) if len(words) == 1 else None)
