"""What alike tickets have in common, for people: no model, no numbers."""

from collections.abc import Sequence


def words_of(titles: Sequence[str], most: int = 5) -> list[str]:
    """What most of the tickets say, the commonest first: words of at least two, and of a third of them."""
    found: dict[str, int] = {}
    for title in titles:
        for word in {word for word in (part.strip(".,:;!?()[]\"'").lower() for part in title.split()) if len(word) > 3}:
            if "<" not in word:
                found[word] = found.get(word, 0) + 1
    often = [word for word, count in found.items() if count >= max(2, len(titles) / 3)]
    return sorted(often, key=lambda word: (-found[word], word))[:most]
