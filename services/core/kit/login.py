"""
Signing in to PostgreSQL as whom the cloud says this workload is: no password anywhere, a token per new connection.

The address says how, behind the plus of its scheme; how far the server is trusted is libpq's own `sslmode`:

postgresql://user:password@host/pointsman
postgresql+aws-iam://gateway@host/pointsman?sslmode=verify-full&sslrootcert=/etc/pointsman/ca.pem
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

import httpx
import psycopg

from services.core.kit.errors import ConfigurationInvalid
from services.core.kit.settings import EXAMPLES, WorkloadIdentity

if TYPE_CHECKING:
    from botocore.session import Session

AWS_TOKEN_LIFE_S = 900  # AWS takes a token for 15 minutes, and no setting of ours can make it more
RENEW_BEFORE_S = 300.0  # metadata servers hand out a new token within the last five minutes (Google, Azure)
ANSWER_S = 5.0
VERIFIED = ("verify-full", "verify-ca")
SECRET = "secret"  # noqa: S105, the address's parameter that names one
ENTRA_RESOURCE = "https://ossrdbms-aad.database.windows.net"
GOOGLE_SCOPE = "https://www.googleapis.com/auth/sqlservice.login"
GOOGLE_TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

Credentials = tuple[str, str]  # user, password


@dataclass(frozen=True)
class Address:
    """`user` is the database's word for the identity; `secret` refers to the administrator's (AWS)."""

    host: str
    port: int
    user: str
    secret: str


@dataclass
class Tokens:
    """One token that is fetched again before it ends. Safe for threads: they wait for one of them to fetch."""

    fetch: Callable[[], tuple[str, float]]  # token, seconds it is good for
    _token: str = ""
    _renew_at: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def get(self) -> str:
        with self._lock:
            if time.monotonic() >= self._renew_at:
                self._token, life_s = self.fetch()
                self._renew_at = time.monotonic() + life_s - RENEW_BEFORE_S
            return self._token


def resolve(database_url: str) -> str:
    """
    The address with the credentials of this moment, for a connection that is made at once.

    Raises:
        ConfigurationInvalid: no such way to sign in, or a token would go to a server that nobody has verified.
        psycopg.OperationalError: no token can be had; it is as if the server did not answer, and may pass.
    """
    way, rest = way_of(database_url), database_url.partition("://")[2]
    if not way:
        return database_url
    if way not in WAYS:
        raise ConfigurationInvalid(
            f"POINTSMAN_DATABASE_URL signs in by '{way}', which is not known. Use one of {', '.join(WAYS)}, or none "
            f"for a password: {EXAMPLES['POINTSMAN_DATABASE_URL']}"
        )
    parts, parameters = urlsplit(f"postgresql://{rest}"), dict(parse_qsl(urlsplit(database_url).query))
    _refuse_unverified(parameters)
    address = _address(parts, parameters.pop(SECRET, ""))
    user, password = WAYS[way](address)
    host = f"[{address.host}]" if ":" in address.host else address.host
    where = f"{quote(user, safe='')}:{quote(password, safe='')}@{host}:{address.port}"
    return f"postgresql://{where}{parts.path}?{urlencode(parameters)}"


def _address(parts: SplitResult, secret: str) -> Address:
    try:
        host, port = parts.hostname, parts.port or 5432
    except ValueError as exc:
        raise ConfigurationInvalid(f"POINTSMAN_DATABASE_URL is no address: {exc}.") from exc
    if not host:
        raise ConfigurationInvalid("POINTSMAN_DATABASE_URL names no host to sign in to.")
    return Address(host, port, unquote(parts.username or ""), secret)


def way_of(database_url: str) -> str:
    """One of WAYS; empty: by password."""
    return database_url.partition("://")[0].partition("+")[2]


def connect(database_url: str, **arguments: Any) -> psycopg.Connection:
    """A new connection, signed in. Raises like `resolve`."""
    return psycopg.connect(resolve(database_url), **arguments)


def entra_token(resource: str) -> str:
    """
    A token of Entra that opens `resource` to this workload now.

    Raises:
        psycopg.OperationalError: none can be had.
    """
    return _entra_tokens(WorkloadIdentity(), resource).get()


def google_token(scope: str) -> str:
    """As `entra_token`, of Google for one of its scopes."""
    return _google_tokens(WorkloadIdentity(), scope).get()


def _refuse_unverified(parameters: dict[str, str]) -> None:
    """A token opens the database to whoever reads it: it is sent to a server of the named authority, or not at all."""
    if parameters.get("sslmode") not in VERIFIED or not parameters.get("sslrootcert"):
        raise ConfigurationInvalid(
            "POINTSMAN_DATABASE_URL signs in by a token, so it must verify the server. "
            "End it with ?sslmode=verify-full&sslrootcert=/etc/pointsman/ca.pem (the cloud's authority), "
            "or sslrootcert=system"
        )


def _aws_iam(address: Address) -> Credentials:
    """Signed here, without a call: the same that `aws rds generate-db-auth-token` prints."""
    from botocore.model import ServiceId
    from botocore.signers import RequestSigner

    session = _aws_session()
    credentials, region = session.get_credentials(), session.get_config_variable("region")
    if credentials is None:
        raise psycopg.OperationalError("No credentials of AWS: this workload has no role. See ADR 0155.")
    if not region:
        raise ConfigurationInvalid("Set AWS_REGION, the region of the database: its tokens are signed for it.")
    signer = RequestSigner(
        ServiceId("rds-db"), region, "rds-db", "v4", credentials, session.get_component("event_emitter")
    )
    query = urlencode({"Action": "connect", "DBUser": address.user})
    request = {
        "method": "GET",
        "url": f"https://{address.host}:{address.port}/?{query}",
        "body": {},
        "headers": {},
        "context": {},
    }
    signed = signer.generate_presigned_url(request, operation_name="connect", expires_in=AWS_TOKEN_LIFE_S)
    return address.user, signed.removeprefix("https://")


def _aws_secret(address: Address) -> Credentials:
    """The administrator whom RDS made: his password changes every week, so it is read for each connection."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = _aws_session().create_client("secretsmanager").get_secret_value(SecretId=address.secret)
    except (BotoCoreError, ClientError) as exc:
        raise psycopg.OperationalError(f"The administrator's secret cannot be read: {exc}") from exc
    secret = json.loads(found["SecretString"])
    return secret["username"], secret["password"]


def _entra(address: Address) -> Credentials:
    return address.user, entra_token(ENTRA_RESOURCE)


def _gcp_iam(address: Address) -> Credentials:
    return address.user, google_token(GOOGLE_SCOPE)


@cache
def _aws_session() -> "Session":
    """Keeps the workload's credentials, and renews them by itself."""
    from botocore.session import get_session

    return get_session()


@lru_cache(maxsize=2)
def _entra_tokens(identity: WorkloadIdentity, resource: str) -> Tokens:
    file = identity.azure_federated_token_file
    return Tokens(partial(_federated, identity, resource, file) if file else partial(_of_machine, identity, resource))


@lru_cache(maxsize=2)
def _google_tokens(identity: WorkloadIdentity, scope: str) -> Tokens:
    url, asked = f"http://{identity.gce_metadata_host}{GOOGLE_TOKEN}", {"scopes": scope}
    return Tokens(partial(_metadata, url, params=asked, headers={"Metadata-Flavor": "Google"}))


def _federated(identity: WorkloadIdentity, resource: str, file: Path) -> tuple[str, float]:
    """AKS: the pod's own token, which the cluster renews in its file, for one of Entra."""
    try:
        own = file.read_text("utf-8").strip()
    except OSError as exc:
        raise psycopg.OperationalError(f"No token to sign in with: {file} cannot be read ({exc.strerror}).") from exc
    form = {
        "client_id": identity.azure_client_id,
        "client_assertion": own,
        "client_assertion_type": ASSERTION,
        "grant_type": "client_credentials",
        "scope": f"{resource}/.default",
    }
    authority = identity.azure_authority_host.rstrip("/")
    return _token("POST", f"{authority}/{identity.azure_tenant_id}/oauth2/v2.0/token", data=form)


def _of_machine(identity: WorkloadIdentity, resource: str) -> tuple[str, float]:
    """`small`: the machine's identity, from Azure's metadata service."""
    asked = {"api-version": "2018-02-01", "resource": resource}
    if identity.azure_client_id:
        asked["client_id"] = identity.azure_client_id
    url = f"{identity.azure_pod_identity_authority_host.rstrip('/')}/metadata/identity/oauth2/token"
    return _metadata(url, params=asked, headers={"Metadata": "true"})


def _metadata(url: str, **request: Any) -> tuple[str, float]:
    """The machine's own service: never through the company's proxy."""
    return _token("GET", url, trust_env=False, **request)


def _token(method: str, url: str, **request: Any) -> tuple[str, float]:
    """Of an OAuth answer. The address alone is told when it fails: form and answer may hold a secret."""
    try:
        answer = httpx.request(method, url, timeout=ANSWER_S, **request)
        answer.raise_for_status()
        found = answer.json()
        return found["access_token"], float(found["expires_in"])
    except (httpx.HTTPError, ValueError, KeyError) as exc:
        told = f"{exc.response.status_code}" if isinstance(exc, httpx.HTTPStatusError) else type(exc).__name__
        raise psycopg.OperationalError(f"No token to sign in with: {url} answered {told}.") from None


WAYS: dict[str, Callable[[Address], Credentials]] = {
    "aws-iam": _aws_iam,
    "aws-secret": _aws_secret,
    "entra": _entra,
    "gcp-iam": _gcp_iam,
}
