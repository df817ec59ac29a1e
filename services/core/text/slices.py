"""
A ticket of any length, redacted in bounded pieces of work: whoever drives this lets others in between two of them.

The rules hold the interpreter's lock for as long as a text is long: 1 MiB at once stood in everybody's way for 17 s.
"""

from collections.abc import Generator, Iterator, Mapping

from services.core.text.language import detect_language
from services.core.text.normalise import normalise
from services.core.text.redact import Redacted, Redactor, Vault
from services.core.text.shorten import shorten

SLICE_CHARS = 4_096  # 0.05 to 0.3 s on one core, most of it the name model
FIELD_MAX_CHARS = 65_536  # models read 4,000 to 12,000, a person less; the whole text stays in `raw.texts`
TICKET_MAX_CHARS = 262_144  # all fields together: a conversation of 5,000 comments
MARKUP_FACTOR = 4  # a mail's HTML is three times its text, so so much more is read of it


def redact_in_slices(redactor: Redactor, fields: Mapping[str, str]) -> Generator[None, None, Redacted]:
    """
    As `Redactor.redact_fields`, one slice for each `next`; earlier fields matter more when a ticket is too long.

    What is left out is left out of the result, with a note where it stood: nothing passes unread.
    """
    texts: dict[str, str] = {}
    left = TICKET_MAX_CHARS
    for name, text in fields.items():
        texts[name] = shorten(normalise(shorten(text, MARKUP_FACTOR * FIELD_MAX_CHARS)), min(FIELD_MAX_CHARS, left))
        left = max(0, left - len(texts[name]))
        if len(text) > SLICE_CHARS:
            yield
    language = detect_language("\n".join(texts.values())[:SLICE_CHARS], redactor.default_language)
    vault, done, people = Vault(texts.values()), [], []
    for batch in _batches(texts):
        done.append(redactor.redact_more(batch, language, vault))
        people.append(len(vault.people))
        yield
    for batch, known in zip(done, people, strict=True):
        if known < len(vault.people):  # a later slice named somebody who stands here by part of the name
            batch.update({key: redactor.hide_people(text, vault) for key, text in batch.items()})
            yield
    joined = dict.fromkeys(texts, "")
    for batch in done:
        for (name, _), text in batch.items():
            joined[name] += text
    return Redacted(joined, vault.values, language)


def _batches(texts: Mapping[str, str]) -> Iterator[dict[tuple[str, int], str]]:
    """All texts in order, cut and put together to about `SLICE_CHARS` each."""
    batch: dict[tuple[str, int], str] = {}
    for name, text in texts.items():
        for start, piece in _cut(text):
            if batch and sum(map(len, batch.values())) + len(piece) > SLICE_CHARS:
                yield batch
                batch = {}
            batch[name, start] = piece
    if batch:
        yield batch


def _cut(text: str) -> Iterator[tuple[int, str]]:
    """Pieces that end with a paragraph, a line or a word, whichever there is first in that order."""
    start = 0
    while start < len(text):
        end = min(start + SLICE_CHARS, len(text))
        if end < len(text):
            ends = (text.rfind(mark, start + SLICE_CHARS // 2, end) + len(mark) for mark in ("\n\n", "\n", " "))
            end = next((cut for cut in ends if cut > start + SLICE_CHARS // 2), end)
        yield start, text[start:end]
        start = end
