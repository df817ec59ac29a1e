"""Sending mail: one SMTP account, one message a call, the server's answers as our errors."""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable
from services.core.kit.oauth import OAuth, bearer, tokens_of

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Smtp(BaseModel):
    """
    An SMTP account. `security`: `starttls` (port 587), `tls` (port 465), or `none`, which only this machine's own
    server may have. `ca_file`: who signed the server's certificate, where that is not a public authority.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: SecretStr | None = None
    oauth: OAuth | None = None
    sender: str = Field(min_length=3, max_length=320, pattern=r"^[^@\s]+@[^@\s]+$")
    ca_file: Path | None = None
    timeout_s: float = Field(default=20, gt=0)

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if (self.user is None) != (self.password is None and self.oauth is None):
            raise ValueError(
                "user and password belong together, or user and oauth; leave all out where the server asks for none"
            )
        if self.password and self.oauth:
            raise ValueError("password and oauth exclude each other: give the one that the server takes")
        if self.security == "none" and self.host not in LOOPBACK:
            raise ValueError("security 'none' would send mail in the clear. Use starttls or tls.")
        return self


async def send_mail(account: Smtp, message: EmailMessage) -> None:
    """
    Hands the message to the server.

    Raises:
        ConnectorUnavailable: not now, or not known whether it was taken: send the same Message-ID again.
        ConnectorRejected: the server will never take it, or never from us.
    """
    await asyncio.to_thread(_send, account, message)


def dated(message: EmailMessage) -> EmailMessage:
    """With the time of now, unless it has one."""
    if message["Date"] is None:
        message["Date"] = formatdate(localtime=False)
    return message


def _send(account: Smtp, message: EmailMessage) -> None:
    try:
        with _connect(account) as server:
            if account.security == "starttls":
                server.starttls(context=_tls(account))
            _log_in(server, account)
            server.send_message(dated(message), from_addr=account.sender)
    except smtplib.SMTPRecipientsRefused as exc:
        raise _error(account, max(code for code, _ in exc.recipients.values()), "the recipients") from exc
    except smtplib.SMTPResponseException as exc:
        what = "our log-in" if isinstance(exc, smtplib.SMTPAuthenticationError) else "the message"
        raise _error(account, exc.smtp_code, what) from exc
    except smtplib.SMTPNotSupportedError as exc:
        raise ConnectorRejected(f"{account.host} offers no {account.security} or log-in: {exc}.") from exc
    except ssl.SSLCertVerificationError as exc:
        raise ConnectorRejected(
            f"The certificate of {account.host} is not trusted ({exc.verify_message}). Give its authority as ca_file."
        ) from exc
    except (OSError, smtplib.SMTPException) as exc:
        raise ConnectorUnavailable(f"{account.host}:{account.port} does not take mail ({type(exc).__name__}).") from exc


def _log_in(server: smtplib.SMTP, account: Smtp) -> None:
    if account.user and account.password:
        server.login(account.user, account.password.get_secret_value())
    if account.user and account.oauth:
        tokens = tokens_of(account.oauth)
        tokens.log_in(lambda token: _show(server, account, token), refusals=smtplib.SMTPAuthenticationError)


def _show(server: smtplib.SMTP, account: Smtp, token: str) -> None:
    server.ehlo_or_helo_if_needed()
    offered = server.esmtp_features.get("auth", "").upper().split()
    said = bearer(offered, user=account.user or "", token=token, host=account.host, port=account.port)
    server.auth(said.mechanism, said.answer)


def _connect(account: Smtp) -> smtplib.SMTP:
    if account.security == "tls":
        return smtplib.SMTP_SSL(account.host, account.port, timeout=account.timeout_s, context=_tls(account))
    return smtplib.SMTP(account.host, account.port, timeout=account.timeout_s)


def _tls(account: Smtp) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(account.ca_file) if account.ca_file else None)


def _error(account: Smtp, code: int, what: str) -> Exception:
    """4xx is for now, 5xx for good (RFC 5321, 4.2.1). Not their words: they may repeat the recipient."""
    said = f"{account.host} refused {what} with {code}."
    return ConnectorUnavailable(said) if 400 <= code < 500 else ConnectorRejected(said)
