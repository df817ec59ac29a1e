"""
Renders a prompt file with a ticket in it, so that the ticket cannot step out of its place.

Every line that we say ourselves begins with a mark made from the hash of the ticket's own text. To forge it, a text
would have to contain its own hash; one that holds the mark anyway has it removed. No randomness: the same question
gives the same prompt, which is what the cache and the golden files need.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from services.core.contracts.priority import PriorityQuestion, SummaryQuestion
from services.core.kit.errors import ConfigurationInvalid
from services.core.text.shorten import shorten

PROMPTS = Path(__file__).with_name("prompts")
SPLIT = "=== message ===\n"
PRIORITY_VERSION = "priority/v1"
SUMMARY_VERSION = "summary/v1"
MARK_HEX_CHARS = 16  # 64 bits: finding a text that holds its own mark takes 2**64 hashes, and it would be removed
# Tokens by which chat templates of self-hosted models tell system, user and assistant apart.
CHAT_TOKEN = re.compile(r"<\|([^|<>]{0,40})\|>|\[(/?INST)\]|<(/?(?:s|start_of_turn|end_of_turn))>|<<(/?SYS)>>")
JOINERS = "\u200c\u200d"  # Persian, Hindi and emoji are written with them


@dataclass(frozen=True)
class Prompt:
    """`instructions` go to the model as the system's, `message` as the user's; `version` names the file."""

    version: str
    instructions: str
    message: str


def priority_prompt(question: PriorityQuestion, *, max_chars: int) -> Prompt:
    """The prompt for a priority; the body is shortened in its middle to `max_chars`."""
    return render(
        PRIORITY_VERSION,
        (question.subject, question.body),
        labels=question.labels,
        group=question.group,
        subject=as_data(question.subject, max_chars),
        body=as_data(question.body, max_chars),
    )


def summary_prompt(question: SummaryQuestion, *, max_chars: int) -> Prompt:
    """The prompt for a summary; the last comments matter most, older ones go first when it gets too long."""
    comments = [
        {"speaker": speaker, "body": as_data(body, max_chars)}
        for speaker, body in _latest(question.comments, max_chars)
    ]
    return render(
        SUMMARY_VERSION,
        (question.subject, question.body, *(body for _, body in question.comments)),
        comments=comments,
        subject=as_data(question.subject, max_chars),
        body=as_data(question.body, max_chars),
    )


def render(version: str, texts: Sequence[str], **values: Any) -> Prompt:
    """The prompt file `version` with these values; `texts` are all that strangers wrote among them."""
    mark = _mark_of(texts)
    instructions, message = _template(version)
    safe = without_mark(mark, values)
    return Prompt(version, instructions.render(mark=mark, **safe).strip(), message.render(mark=mark, **safe).strip())


def as_data(text: str, max_chars: int) -> str:
    """A stranger's text without control characters and chat tokens, shortened in its middle."""
    kept = "".join(char for char in shorten(text, max_chars) if char in "\n\t" or not _is_control(char))
    return CHAT_TOKEN.sub(lambda token: f"({next(filter(None, token.groups()), '')})", kept)


def without_mark(mark: str, value: Any) -> Any:
    """The values with the mark taken out of every text in them."""
    if isinstance(value, str):
        return value.replace(mark, "#removed#")
    if isinstance(value, dict):
        return {key: without_mark(mark, item) for key, item in value.items()}
    return [without_mark(mark, item) for item in value] if isinstance(value, list) else value


def environment() -> Any:
    """Jinja in a sandbox; a variable that is not given is an error, never a gap. Plain text: nothing is escaped."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


def _mark_of(texts: Sequence[str]) -> str:
    digest = hashlib.sha256("\x00".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"#{digest[:MARK_HEX_CHARS]}#"


@cache
def _template(version: str) -> tuple[Any, Any]:
    text = (PROMPTS / f"{version}.md").read_text(encoding="utf-8")
    instructions, split, message = text.partition(SPLIT)
    if not split:
        raise ConfigurationInvalid(f"Prompt {version}: the line '{SPLIT.strip()}' is missing between its two parts.")
    return environment().from_string(instructions), environment().from_string(message)


def _latest(comments: Sequence[tuple[str, str]], max_chars: int) -> list[tuple[str, str]]:
    kept: list[tuple[str, str]] = []
    left = max_chars
    for speaker, body in reversed(comments):
        if left <= 0:
            break
        kept.append((speaker, body))
        left -= len(body)
    return kept[::-1]


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn"} and char not in JOINERS
