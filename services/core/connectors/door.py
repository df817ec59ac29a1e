"""
The one verifying door: how a system proves that a call is its own, described by data.

`verify` and `sign` read the same description, so the test sender signs exactly as the system does. Nothing here parses
a body.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

from pydantic import SecretStr

from services.core.kit.errors import ConfigurationInvalid, SignatureInvalid, SignatureStale

WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105  the public prefix of Standard Webhooks, not a secret
PARTS = frozenset({"id", "timestamp", "body", "method", "url"})
# Whole ISO times only: datetime.fromisoformat would also take 20210325, so a number could pass for a time.
_FORMS = {
    "s": re.compile(r"\d{1,11}", re.ASCII),
    "ms": re.compile(r"\d{12,14}", re.ASCII),
    "iso": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII),
}
_SHOWN = {"s": "unix seconds, e.g. 1760000000", "ms": "unix milliseconds, e.g. 1760000000000"} | {
    "iso": "an ISO 8601 time, e.g. 2021-03-25T05:09:27Z"
}


@dataclass(frozen=True)
class Call:
    """One webhook call. Header names are lower case; `url` is the address as the caller wrote it."""

    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"
    url: str = ""


class Door(Protocol):
    """What `Signed` and `Shared` have in common."""

    def verify(self, call: Call, secrets: Sequence[SecretStr], *, now: datetime, tolerance_s: float) -> None:
        """
        Accepts what one of `secrets` stands for: several while one replaces the other.

        Raises:
            SignatureInvalid, SignatureStale
        """
        ...

    def sign(self, secret: SecretStr, call: Call, *, delivery_id: str, now: datetime) -> dict[str, str]:
        """The sender's side: the headers that go with `call`. Sending again keeps `delivery_id`."""
        ...

    def signed_id(self, call: Call) -> str:
        """The sender's id of this call, where it is part of what is signed; else empty."""
        ...


@dataclass(frozen=True)
class Signed:
    """
    An HMAC in a header.

    `content` is what is signed, from {id}, {timestamp}, {method}, {url} and {body}. A time or id that is not in it
    proves nothing, so it has no header here. `several`: the header may hold signatures one after the other.
    """

    signature_header: str
    content: str = "{body}"
    form: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    timestamp_header: str | None = None
    timestamp_form: Literal["s", "ms", "iso"] = "s"
    id_header: str | None = None
    key_form: Literal["plain", "whsec"] = "plain"
    several: bool = False
    _parts: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parts = tuple(re.split(r"(\{\w+\})", self.content))
        named = {part.strip("{}") for part in parts if part.startswith("{")}
        if unknown := named - PARTS:
            raise ConfigurationInvalid(f"A door signs {sorted(unknown)}; it can only sign {', '.join(sorted(PARTS))}.")
        for part, header in (("timestamp", self.timestamp_header), ("id", self.id_header)):
            if (part in named) != (header is not None):
                raise ConfigurationInvalid(f"A door must sign its {part} and name the header, or do neither.")
        object.__setattr__(self, "_parts", parts)

    def verify(self, call: Call, secrets: Sequence[SecretStr], *, now: datetime, tolerance_s: float) -> None:
        wanted = [self.signature_header, self.timestamp_header, self.id_header]
        missing = [name for name in wanted if name and not call.headers.get(name)]
        if missing:
            raise SignatureInvalid(f"Header {' and '.join(missing)} is missing.")
        expected = [self.signature(secret, call) for secret in secrets]
        if not matches_any(self._offered(call), expected):
            raise SignatureInvalid(
                f"{self.signature_header} matches no secret. It is {self.prefix}{self.form} of "
                f"HMAC-{self.algorithm.upper()}(secret, {self.content}); compare the secret with the sender's."
            )
        if self.timestamp_header:
            check_age(self._sent_at(call), now=now, tolerance_s=tolerance_s)

    def sign(self, secret: SecretStr, call: Call, *, delivery_id: str, now: datetime) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if self.timestamp_header:
            headers[self.timestamp_header] = written_time(now, self.timestamp_form)
        if self.id_header:
            headers[self.id_header] = delivery_id
        made = Call({**call.headers, **headers}, call.body, call.method, call.url)
        return headers | {self.signature_header: self.prefix + self.signature(secret, made)}

    def signature(self, secret: SecretStr, call: Call) -> str:
        digest = hmac.digest(self.key_of(secret), self._content(call), getattr(hashlib, self.algorithm))
        return digest.hex() if self.form == "hex" else base64.b64encode(digest).decode()

    def key_of(self, secret: SecretStr) -> bytes:
        return webhook_key(secret) if self.key_form == "whsec" else secret.get_secret_value().encode()

    def signed_id(self, call: Call) -> str:
        return call.headers.get(self.id_header, "") if self.id_header else ""

    def _content(self, call: Call) -> bytes:
        values = {
            "{id}": self.signed_id(call).encode("utf-8", "replace"),
            "{timestamp}": call.headers.get(self.timestamp_header or "", "").encode("utf-8", "replace"),
            "{method}": call.method.encode(),
            "{url}": call.url.encode("utf-8", "replace"),
            "{body}": call.body,
        }
        return b"".join(values.get(part, part.encode()) for part in self._parts)

    def _offered(self, call: Call) -> list[str]:
        text = call.headers.get(self.signature_header, "")
        found = text.split() if self.several else [text]
        return [one.removeprefix(self.prefix) for one in found if one.startswith(self.prefix)]

    def _sent_at(self, call: Call) -> datetime:
        text = call.headers.get(self.timestamp_header or "", "")
        if not _FORMS[self.timestamp_form].fullmatch(text):
            raise SignatureInvalid(f"{self.timestamp_header} is not {_SHOWN[self.timestamp_form]}.")
        try:
            if self.timestamp_form == "iso":
                return datetime.fromisoformat(text)
            return datetime.fromtimestamp(int(text) / (1000 if self.timestamp_form == "ms" else 1), UTC)
        except (ValueError, OverflowError, OSError) as exc:
            raise SignatureInvalid(f"{self.timestamp_header} is not {_SHOWN[self.timestamp_form]}.") from exc


@dataclass(frozen=True)
class Shared:
    """
    A secret that comes along as it is, where a system cannot sign: a token, or basic authentication.

    It proves who calls, not what is said nor when: only HTTPS keeps it. `is_basic`: the secret is `user:password`.
    """

    header: str = "authorization"
    prefix: str = ""
    is_basic: bool = False

    def verify(self, call: Call, secrets: Sequence[SecretStr], *, now: datetime, tolerance_s: float) -> None:
        if not matches_any([call.headers.get(self.header, "")], [self._value(secret) for secret in secrets]):
            raise SignatureInvalid(f"Header {self.header} does not carry the secret that is configured here.")

    def sign(self, secret: SecretStr, call: Call, *, delivery_id: str, now: datetime) -> dict[str, str]:
        return {"content-type": "application/json", self.header: self._value(secret)}

    def signed_id(self, call: Call) -> str:
        return ""

    def _value(self, secret: SecretStr) -> str:
        text = secret.get_secret_value()
        return "Basic " + base64.b64encode(text.encode()).decode() if self.is_basic else self.prefix + text


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


def written_time(now: datetime, form: Literal["s", "ms", "iso"]) -> str:
    """`now` as the sender writes it."""
    if form == "iso":
        return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(int(now.timestamp() * (1000 if form == "ms" else 1)))


def webhook_key(secret: SecretStr) -> bytes:
    """
    The bytes behind `whsec_<base64>`.

    Raises:
        ConfigurationInvalid: not base64, or empty.
    """
    encoded = secret.get_secret_value().removeprefix(WEBHOOK_SECRET_PREFIX)
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
