"""The one way a ticket becomes the text that models read, and what 'the same text' means."""

import hashlib


def join_text(subject: str, body: str) -> str:
    """Subject, newline, body; either may be empty. Training and serving must both call this."""
    return "\n".join(part for part in (subject.strip(), body.strip()) if part)


def text_key(text: str) -> int:
    """64-bit identity of a text, blind to case and spacing."""
    folded = " ".join(text.casefold().split())
    return int.from_bytes(hashlib.blake2b(folded.encode(), digest_size=8).digest(), "big")


def signed(key: int) -> int:
    """The key as a database's bigint."""
    return key - 2**64 if key >= 2**63 else key
