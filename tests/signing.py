"""Headers as the senders make them, from the doors' own data."""

from datetime import datetime

from pydantic import SecretStr

from services.core.connectors import standard_webhooks
from services.core.connectors.door import Call
from services.core.connectors.zendesk import inbound


def sign_standard(secret: SecretStr, body: bytes, *, delivery_id: str, now: datetime) -> dict[str, str]:
    return standard_webhooks.DOOR.sign(secret, Call({}, body), delivery_id=delivery_id, now=now)


def sign_zendesk(secret: SecretStr, body: bytes, *, now: datetime, invocation: str = "i-1") -> dict[str, str]:
    """With an invocation id, which Zendesk sends along and does not sign."""
    signed = inbound.DOOR.sign(secret, Call({}, body), delivery_id="", now=now)
    return signed | {"x-zendesk-webhook-invocation-id": invocation}
