"""
Whether a question can mean several things: then asking back is better than the best guess. Pure.

Judged by how the question points ("this plan", "it"), whether anything was said before that it can point to, and how
flat the evidence is: many passages that match a little, none that matches well.
"""

from services.core.answer.signals import Signals
from services.core.search.retrieve import Question
from services.core.search.topics import POINTS_AT

NAMES = ("nearness", "margin", "agreement", "terms", "coverage", "points", "points_nowhere", "words")
MANY_WORDS = 12.0  # a question of as many words counts fully


def features(question: Question, signals: Signals) -> tuple[float, ...]:
    """One row for the calibrated model, in the order of NAMES."""
    points = bool(POINTS_AT.search(question.text))
    words = min(len(question.text.split()) / MANY_WORDS, 1.0)
    return (*signals.row(), float(points), float(points and not question.previous), words)
