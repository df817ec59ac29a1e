"""
Standard Webhooks: the signature of our own desk and of any system that can sign by the open rules.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import SecretStr

from services.core.kit.errors import ConfigurationInvalid, SignatureInvalid, SignatureStale

SECRET_PREFIX = "whsec_"  # noqa: S105  the public prefix, not a secret
VERSION = "v1"
ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"


def sign(secret: SecretStr, message_id: str, body: bytes, *, now: datetime) -> dict[str, str]:
    """The three headers that go with `body`. Sending again the same message uses the same id and a new `now`."""
    timestamp = str(int(now.timestamp()))
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: f"{VERSION},{_signature(secret, message_id, timestamp, body)}",
    }


def verify(
    headers: Mapping[str, str], body: bytes, *, secrets: Sequence[SecretStr], now: datetime, tolerance_s: float
) -> None:
    """
    Accept a call that one of `secrets` signed within the tolerance; several signatures while a secret rotates.

    Raises:
        SignatureInvalid, SignatureStale
    """
    message_id, timestamp, offered = (_header(headers, h) for h in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
    signatures = [value for version, _, value in (s.partition(",") for s in offered.split()) if version == VERSION]
    expected = [_signature(secret, message_id, timestamp, body) for secret in secrets]
    if not matches_any(signatures, expected):
        raise SignatureInvalid(
            f"{SIGNATURE_HEADER} matches no secret. Sign '{ID_HEADER}.{TIMESTAMP_HEADER}.body' with HMAC-SHA256, "
            f"in base64, as '{VERSION},<signature>'."
        )
    check_age(_unix_time(timestamp), now=now, tolerance_s=tolerance_s)


def matches_any(offered: Sequence[str], expected: Sequence[str]) -> bool:
    """Whether one of each is equal; takes the same time wherever they differ."""
    found = False
    for signature in offered:
        for candidate in expected:
            found |= hmac.compare_digest(signature.encode("utf-8", "replace"), candidate.encode())
    return found


def check_age(sent_at: datetime, *, now: datetime, tolerance_s: float) -> None:
    """
    Refuse what was signed more than `tolerance_s` before or after `now`.

    Raises:
        SignatureStale
    """
    age_s = (now - sent_at).total_seconds()
    if abs(age_s) > tolerance_s:
        raise SignatureStale(
            f"Signed {abs(age_s):.0f} s {'ago' if age_s > 0 else 'in the future'}; at most {tolerance_s:.0f} s are "
            "accepted. Sign again when sending again, and check both clocks."
        )


def key_of(secret: SecretStr) -> bytes:
    """
    The bytes behind `whsec_<base64>`.

    Raises:
        ConfigurationInvalid: not base64, or empty.
    """
    encoded = secret.get_secret_value().removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ConfigurationInvalid(_NOT_A_KEY) from exc
    if not key:
        raise ConfigurationInvalid(_NOT_A_KEY)
    return key


_NOT_A_KEY = (
    "A webhook secret is not 'whsec_' followed by base64. "
    "Make one: python -c \"import base64,os;print('whsec_'+base64.b64encode(os.urandom(32)).decode())\""
)


def _signature(secret: SecretStr, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode("utf-8", "replace") + body
    return base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise SignatureInvalid(
            f"Header {name} is missing. Send {ID_HEADER}, {TIMESTAMP_HEADER} and {SIGNATURE_HEADER}."
        )
    return value


def _unix_time(timestamp: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(timestamp), UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise SignatureInvalid(
            f"{TIMESTAMP_HEADER} is not a whole number of unix seconds. Send e.g. 1760000000."
        ) from exc
