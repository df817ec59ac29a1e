"""The one way a ticket becomes the text that models read."""


def join_text(subject: str, body: str) -> str:
    """Subject, newline, body; either may be empty. Training and serving must both call this."""
    return "\n".join(part for part in (subject.strip(), body.strip()) if part)
