"""The test message: a CloudEvent that says what it is, so that other subscribers can let it pass."""

import json
import secrets
from datetime import UTC, datetime

ATTEMPTS = 10  # a queue of a quiet, new stack gives the message at the first or second


def new_message() -> tuple[str, str]:
    """(id, body)"""
    id_ = secrets.token_hex(8)
    body = {
        "specversion": "1.0",
        "type": "pointsman.smoke.v1",
        "source": "pointsman/smoke",
        "id": id_,
        "time": datetime.now(UTC).isoformat(),
    }
    return id_, json.dumps(body)


def is_ours(body: str, id_: str) -> bool:
    return f'"{id_}"' in body
