"""What a conversation has been about, in a few lines that grow with it. Pure; from redacted words only."""

from collections.abc import Iterator, Sequence

from psycopg.rows import DictRow

from services.core.contracts.conversation import Action, Author
from services.core.llm.sentences import lead

EVERY = 6  # messages between two summaries: as many as a language model is told word for word
LINES_MAX = 12
LINE_MAX_CHARS = 200


def is_due(said: Sequence[DictRow]) -> bool:
    """Whether this many messages deserve a new one."""
    return len(said) % EVERY in (0, 1) and len(said) >= EVERY  # a turn adds two


def summarise(said: Sequence[DictRow]) -> str:
    """One line for each turn, the newest twelve; what was asked, and what came of it."""
    lines = list(_lines(said))
    left_out = len(lines) - LINES_MAX
    head = [f"({left_out} earlier lines left out)"] if left_out > 0 else []
    return "\n".join([*head, *lines[-LINES_MAX:]])


def _lines(said: Sequence[DictRow]) -> Iterator[str]:
    for one in said:
        if one["author"] == Author.USER:
            yield _short("Asked", one["redacted"])
        elif one["author"] == Author.AGENT:
            yield _short("Support", one["redacted"])
        elif one["answer"]:
            yield _outcome(one["answer"])


def _outcome(answer: dict) -> str:
    if answer["action"] == Action.CONTINUE:
        titles = dict.fromkeys(evidence["title"] for evidence in answer["evidence"])
        return f"Answered from: {', '.join(titles)}"
    if answer["action"] == Action.CLARIFY:
        return "Asked back what was meant."
    return f"Handed over: {answer['reason']}" if answer["action"] == Action.HANDOFF else "Closed by the person."


def _short(who: str, text: str) -> str:
    words = lead(text) or " ".join(text.split())
    return f"{who}: {words[:LINE_MAX_CHARS]}"
