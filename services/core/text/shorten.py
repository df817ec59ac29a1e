"""A long text cut where it matters least."""

LEFT_OUT = "[... {} characters left out ...]"


def shorten(text: str, max_chars: int) -> str:
    """The beginning and the end, two to one, with a note of what is missing."""
    if len(text) <= max_chars:
        return text
    head, tail = max_chars * 2 // 3, max_chars // 3
    return f"{text[:head]}\n{LEFT_OUT.format(len(text) - head - tail)}\n{text[len(text) - tail :]}"
