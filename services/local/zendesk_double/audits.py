"""What a ticket audit says: one entry per save, its events in Zendesk's words."""

from collections.abc import Mapping
from typing import Any

TOLD = ("subject", "status", "priority", "type", "group_id", "assignee_id", "requester_id", "tags")


def tell_creation(ticket: Mapping[str, Any], comment: Mapping[str, Any]) -> list[dict[str, Any]]:
    created = [{"type": "Create", "field_name": name, "value": ticket[name]} for name in TOLD if ticket[name]]
    return [_comment(comment), *created]


def tell_change(
    before: Mapping[str, Any], after: Mapping[str, Any], comment: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    changed = [
        {"type": "Change", "field_name": name, "value": after[name], "previous_value": before[name]}
        for name in TOLD
        if after[name] != before[name]
    ]
    return [*([_comment(comment)] if comment else []), *changed]


def _comment(comment: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "Comment"} | {key: comment[key] for key in ("body", "plain_body", "public", "author_id")}
