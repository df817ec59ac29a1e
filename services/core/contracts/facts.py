"""What is known of a ticket beside its text when it comes: what the heads of a router read with the text."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from services.core.contracts.base import Contract

DIGEST_CHARS = 16
# Our words, and what ticketing systems call the same in a ticket's metadata.
KEPT = {
    "channel": ("channel", "contact_type"),
    "organisation": ("organisation", "organization", "organization_id", "company"),
    "product": ("product", "project", "brand_id"),
    "place": ("place", "site", "location", "borough"),
}


class Facts(Contract):
    """
    What is not known is left out. A field that an older router does not know is ignored by it.

    `queue`: tickets that were open at that moment. `categories`: channel, organisation, product and the like.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    opened_at: datetime | None = None
    queue: int | None = Field(default=None, ge=0)
    categories: dict[str, str] = Field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.opened_at, self.queue, frozenset(self.categories.items())))


NOTHING_KNOWN = Facts()


def digests(said: Mapping[str, Any]) -> dict[str, str]:
    """
    Of what a system says of a ticket the categories that heads may learn from, by our words.

    Digests: heads ask only whether two are the same, and an organisation's name may be a person's.
    """
    found = {name: next((said[key] for key in keys if said.get(key)), None) for name, keys in KEPT.items()}
    return {name: _digest(value) for name, value in found.items() if isinstance(value, str | int)}


def _digest(value: str | int) -> str:
    return hashlib.sha256(" ".join(str(value).casefold().split()).encode()).hexdigest()[:DIGEST_CHARS]
