"""The structures a model must answer in, and what is removed from an answer before anyone reads it."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from services.core.contracts.priority import Level, PriorityQuestion, SummaryQuestion
from services.core.llm.references import REFERENCES_MAX
from services.core.text.normalise import normalise
from services.core.text.recognisers.span import Span
from services.core.text.redact import PLACEHOLDER

REASON_MAX_CHARS = 300
NOTE_MAX_CHARS = 1_500
TAG_MAX_CHARS = 40
LINK = re.compile(r"(?:https?://|www\.)[^\s<>\"'\])]{1,500}", re.IGNORECASE)
LINK_REMOVED = "[link removed]"
READ_MAX_CHARS = 20_000  # of one text of an answer: more than the most output tokens that can be set
MARKUP = re.compile(r"<[^<>]{0,500}>|[<>]")


class _Draft(BaseModel):
    model_config = ConfigDict(frozen=True)


class PriorityDraft(_Draft):
    """What a model says about a ticket. The priority itself comes from the matrix; the model's own is a cross-check."""

    impact: Level
    urgency: Level
    priority: Any
    reason: str = Field(description="one short sentence with facts of the ticket")


class SummaryDraft(_Draft):
    issue: str = Field(min_length=1, description="what was wrong")
    actions: str = Field(default="", description="what the agents did; empty when none said")
    tags: list[str] = Field(default_factory=list, description="one or two, each of one or two words of the ticket")
    references: list[str] = Field(default_factory=list, description="links, article and error numbers, copied exactly")


@lru_cache(maxsize=256)
def priority_draft(labels: tuple[str, ...]) -> type[PriorityDraft]:
    """The structure whose `priority` is one of these labels and nothing else."""
    offered: Any = Literal[labels]  # ty: ignore[invalid-type-form]  # built from data on purpose
    return create_model("PriorityDraft", __base__=PriorityDraft, priority=(offered, ...))


def text_of(question: PriorityQuestion | SummaryQuestion) -> str:
    """Everything the model was shown of a ticket, as one text."""
    comments = question.comments if isinstance(question, SummaryQuestion) else ()
    return "\n".join((question.subject, question.body, *(body for _, body in comments)))


def clean(text: str, *, max_chars: int, source: str) -> str:
    """One paragraph without markup and control characters, and without links that `source` does not hold."""
    visible = "".join(char if _is_visible(char) else " " for char in normalise(text[:READ_MAX_CHARS]))
    plain = " ".join(MARKUP.sub(_keep_placeholder, visible).split())
    return LINK.sub(lambda link: link.group() if link.group() in source else LINK_REMOVED, plain)[:max_chars]


def hide_strangers(text: str, source: str, find: Callable[[str], Sequence[Span]]) -> str:
    """The text without personal data, but for what the redacted `source` says itself: a model may know more than it."""
    parts, position = [], 0
    for span in find(text):
        if text[span.start : span.end] not in source:
            parts += [text[position : span.start], f"[{span.entity.lower().replace('_', ' ')} removed]"]
            position = span.end
    return "".join([*parts, text[position:]])


def clean_tags(tags: list[str], source: str) -> tuple[str, ...]:
    """At most two tags of one or two words, each word from `source`."""
    low = source.casefold()
    tidy = (clean(tag, max_chars=TAG_MAX_CHARS, source="").strip("#.,;: ").lower() for tag in tags)
    fitting = (tag for tag in tidy if 1 <= len(tag.split()) <= 2 and all(word in low for word in tag.split()))
    return tuple(dict.fromkeys(fitting))[:2]


def clean_references(references: list[str], source: str) -> tuple[str, ...]:
    """References that `source` holds word for word: a model cannot make one up."""
    held = (reference.strip() for reference in references)
    return tuple(dict.fromkeys(ref for ref in held if ref and ref in source))[:REFERENCES_MAX]


def _keep_placeholder(match: re.Match[str]) -> str:
    return match.group() if PLACEHOLDER.fullmatch(match.group()) else " "


def _is_visible(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
