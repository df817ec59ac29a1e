"""The lines of a signature or letterhead between a person's name and their address: job title and company."""

from collections.abc import Iterable, Iterator

from services.core.text.recognisers.span import Span

_CONTACT = frozenset(("STREET_ADDRESS", "PHONE_NUMBER", "EMAIL_ADDRESS", "URL"))
_LINES_BETWEEN = 3
_LINE_MAX_CHARS = 50
_FRAME = " >?|*\t"


def block_lines(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """ORGANIZATION for up to three short lines after a line that is a name alone, when contact details follow them."""
    lines = _lines(text)
    entities = _entities_by_line(lines, spans)
    for number, (start, end) in enumerate(lines):
        if (start, end, "PERSON") in entities[number]:
            yield from _between(
                text, lines[number + 1 :][: _LINES_BETWEEN + 1], entities[number + 1 :][: _LINES_BETWEEN + 1]
            )


def _lines(text: str) -> list[tuple[int, int]]:
    """Start and end of every line that is not empty, without its frame."""
    lines, position = [], 0
    for line in text.split("\n"):
        start = position + len(line) - len(line.lstrip(_FRAME))
        end = position + len(line.rstrip(_FRAME))
        if start < end:
            lines.append((start, end))
        position += len(line) + 1
    return lines


def _entities_by_line(lines: list[tuple[int, int]], spans: Iterable[Span]) -> list[set[tuple[int, int, str]]]:
    found: list[set[tuple[int, int, str]]] = [set() for _ in lines]
    number = 0
    for span in sorted(spans):
        while number < len(lines) and lines[number][1] <= span.start:
            number += 1
        if number < len(lines):
            found[number].add(span[:3])
    return found


def _between(text: str, lines: list[tuple[int, int]], entities: list[set[tuple[int, int, str]]]) -> Iterator[Span]:
    passed = []
    for (start, end), here in zip(lines, entities, strict=True):
        if any(entity in _CONTACT for _, _, entity in here):
            yield from passed
            return
        if end - start > _LINE_MAX_CHARS or text[end - 1] in ".?!:;,":
            return
        passed.append(Span(start, end, "ORGANIZATION"))
