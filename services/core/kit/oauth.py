"""
Tokens for a mail account whose provider takes no passwords, and how they are shown to IMAP and SMTP servers.

Source: SASL OAUTHBEARER, RFC 7628; XOAUTH2, https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable

EARLY_S = 30  # before a token expires on the way
LIFETIME_S = 300  # where the server does not tell
TIMEOUT_S = 15.0
ACCOUNTS_MAX = 64


class OAuth(BaseModel):
    """
    Where tokens come from: by client credentials, or, with `refresh_token`, for whoever has consented once.

    `scope` is the provider's word for reading and sending mail.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    token_url: str = Field(pattern=r"^(https://|http://127\.0\.0\.1[:/])")
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    scope: str = ""
    refresh_token: SecretStr | None = None

    def form(self, refresh_token: str | None) -> dict[str, str]:
        """What a token is asked for with (RFC 6749, 4.4.2 and 6)."""
        grant = {"grant_type": "refresh_token", "refresh_token": refresh_token} if refresh_token else {}
        who = {"client_id": self.client_id, "client_secret": self.client_secret.get_secret_value()}
        scope = {"scope": self.scope} if self.scope else {}
        return {"grant_type": "client_credentials", **who, **scope, **grant}


@dataclass(frozen=True)
class Token:
    """`until_s` is on the monotonic clock. `refresh_token`: the next one, where the server exchanges them."""

    value: str
    until_s: float
    refresh_token: str | None = None


def read_token(answer: httpx.Response, token_url: str) -> Token:
    """
    The token in a token server's answer.

    Raises:
        ConnectorUnavailable: not now, or no token in it. ConnectorRejected: not to us.
    """
    said = f"{token_url} answered {answer.status_code} when asked for a token."
    if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
        raise ConnectorUnavailable(said)
    if not answer.is_success:
        raise ConnectorRejected(f"{said} Check client_id, client_secret and scope, and which grants it allows.")
    try:
        found = answer.json()
        lifetime_s = float(found.get("expires_in", LIFETIME_S))
        until_s = time.monotonic() + lifetime_s - EARLY_S
        return Token(str(found["access_token"]), until_s, found.get("refresh_token"))
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ConnectorUnavailable(f"{token_url}: the answer holds no token.") from exc


class Tokens:
    """The token of one account, for threads: asked for once, and anew when it is over or refused."""

    def __init__(self, oauth: OAuth) -> None:
        self._oauth = oauth
        self._lock = Lock()
        self._token = Token("", 0.0, oauth.refresh_token.get_secret_value() if oauth.refresh_token else None)

    def log_in(self, with_token: Callable[[str], Any], *, refusals: type[Exception]) -> None:
        """With the token that is known; once more with a fresh one where an older one is refused."""
        token, is_old = self._current()
        try:
            with_token(token)
        except refusals:
            if not is_old:
                raise
            with_token(self._fresh(instead_of=token))

    def _current(self) -> tuple[str, bool]:
        with self._lock:
            known = self._token
        is_good = bool(known.value) and time.monotonic() < known.until_s
        return (known.value, True) if is_good else (self._fresh(instead_of=known.value), False)

    def _fresh(self, *, instead_of: str) -> str:
        """Asked for by one at a time; what another has just got is taken."""
        with self._lock:
            if self._token.value == instead_of:
                asked = self._ask(self._token.refresh_token)
                self._token = Token(asked.value, asked.until_s, asked.refresh_token or self._token.refresh_token)
            return self._token.value

    def _ask(self, refresh_token: str | None) -> Token:
        url = self._oauth.token_url
        try:
            answer = httpx.post(url, data=self._oauth.form(refresh_token), timeout=TIMEOUT_S)
        except httpx.TransportError as exc:
            raise ConnectorUnavailable(f"{url} does not answer ({type(exc).__name__}).") from exc
        return read_token(answer, url)


@lru_cache(ACCOUNTS_MAX)
def tokens_of(oauth: OAuth) -> Tokens:
    """One for each account, however many mails it reads and sends."""
    return Tokens(oauth)


@dataclass(frozen=True)
class Bearer:
    """What is said in one mechanism: first the token; then, to the server's error, that it was read."""

    mechanism: str
    first: str
    after_error: str

    def answer(self, challenge: bytes | None = None) -> str:
        """As `smtplib` asks it; it has no challenge at first, IMAP an empty one."""
        return self.after_error if challenge else self.first


def bearer(offered: Collection[str], *, user: str, token: str, host: str, port: int) -> Bearer:
    """
    In the standard's mechanism where it is offered, else in Google's and Microsoft's.

    Raises:
        ConnectorRejected: the server offers neither.
    """
    if "OAUTHBEARER" in offered:
        name = user.replace("=", "=3D").replace(",", "=2C")  # RFC 5801, 4
        first = f"n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01"
        return Bearer("OAUTHBEARER", first, "\x01")
    if "XOAUTH2" in offered:
        return Bearer("XOAUTH2", f"user={user}\x01auth=Bearer {token}\x01\x01", "")
    raise ConnectorRejected(f"{host} offers neither OAUTHBEARER nor XOAUTH2. Give a password instead.")
