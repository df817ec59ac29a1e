"""Zendesk's two ways of giving a list in pages, with the addresses of the next ones; and its incremental export."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from fastapi import Request

from services.local.zendesk_double.account import ApiError

PAGE_MAX = 100
EXPORT_MAX = 1000
EXPORT_AGE_S = 60  # the most recent minute is not exported: it may still be written to


def page(request: Request, key: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """By cursor when `page[size]` or a cursor is given, else by offset."""
    asked = request.query_params
    by_cursor = any(name in asked for name in ("page[size]", "page[after]"))
    return _by_cursor(request, key, items) if by_cursor else _by_offset(request, key, items)


def export(request: Request, items: Iterable[Mapping[str, Any]], *, now: datetime) -> dict[str, Any]:
    """Tickets by the time of their last change, after a cursor or since `start_time`."""
    start = _export_start(request, now)
    size = min(EXPORT_MAX, number(request, "per_page", EXPORT_MAX))
    ordered = sorted((_epoch(item["updated_at"]), item["id"], item) for item in items)
    ready = [row for row in ordered if row[:2] > start and row[0] <= now.timestamp() - EXPORT_AGE_S]
    given = ready[:size]
    cursor = _cursor(given[-1][:2] if given else start)
    after = str(request.url.remove_query_params(["start_time"]).include_query_params(cursor=cursor))
    return {
        "tickets": [dict(item) | {"generated_timestamp": at} for at, _, item in given],
        "after_cursor": cursor, "after_url": after, "before_cursor": None, "before_url": None,
        "end_of_stream": len(ready) <= size,
    }  # fmt: skip


def number(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name, "")
    if given and not (given.isdecimal() and int(given) > 0):
        raise invalid_attribute(name)
    return int(given) if given else default


def invalid_attribute(name: str) -> ApiError:
    message = f"You passed an invalid value for the {name} attribute. Invalid parameter: {name} must be an integer"
    return ApiError(400, {"title": "Invalid attribute", "message": message})


def missing(name: str) -> ApiError:
    return ApiError(400, "ParameterMissing", f"param is missing or the value is empty: {name}")


def _by_cursor(request: Request, key: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    size = min(PAGE_MAX, number(request, "page[size]", PAGE_MAX))
    start = int(request.query_params.get("page[after]", "0"))
    after = str(start + size)
    has_more = start + size < len(items)
    following = str(request.url.include_query_params(**{"page[after]": after})) if has_more else None
    return {
        key: items[start : start + size],
        "meta": {"has_more": has_more, "after_cursor": after, "before_cursor": str(start)},
        "links": {"next": following, "prev": None},
    }


def _by_offset(request: Request, key: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    size, at = min(PAGE_MAX, number(request, "per_page", PAGE_MAX)), number(request, "page", 1)
    following = str(request.url.include_query_params(page=at + 1)) if at * size < len(items) else None
    before = str(request.url.include_query_params(page=at - 1)) if at > 1 else None
    return {
        key: items[(at - 1) * size : at * size], "count": len(items), "next_page": following, "previous_page": before,
    }  # fmt: skip


def _export_start(request: Request, now: datetime) -> tuple[int, int]:
    """(epoch, ticket id) of the last ticket that was given; nothing at or before it is given again."""
    asked = request.query_params
    if "cursor" in asked:
        return _position(asked["cursor"])
    if "start_time" not in asked:
        raise missing("start_time")
    start = number(request, "start_time", 1)
    if start > now.timestamp() - EXPORT_AGE_S:
        raise ApiError(422, "InvalidValue", "Too recent start_time. Use a start_time older than 1 minute")
    return start, 0


def _cursor(position: tuple[int, int]) -> str:
    return base64.urlsafe_b64encode(f"{position[0]}|{position[1]}".encode()).decode()


def _position(cursor: str) -> tuple[int, int]:
    try:
        at, _, ticket_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        return int(at), int(ticket_id)
    except (binascii.Error, ValueError) as exc:
        raise ApiError(400, "InvalidPaginationParameter", "cursor is not one this export gave") from exc


def _epoch(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).timestamp())
