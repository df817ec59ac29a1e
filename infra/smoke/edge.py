"""Is the way in open, does it speak TLS, and does the Gateway answer behind it?"""

import socket
import ssl
from datetime import UTC, datetime

import httpx

from infra.checks import NotAsExpected, Verdict

EXPIRES_DAYS_MIN = 14  # ACME renews a 90-day certificate 30 days before its end: at 14 something is broken
_ANSWER_S = 20


def resolves(hostname: str) -> str:
    """
    Raises:
        NotAsExpected: the name has no address yet; delegating a zone is a person's work.
    """
    try:
        address = socket.getaddrinfo(hostname, 443, proto=socket.IPPROTO_TCP)[0][4][0]
    except socket.gaierror as exc:
        fix = "Enter the zone's name servers at the parent domain; it takes up to an hour to be seen"
        raise NotAsExpected(f"{hostname} has no address", fix=fix, verdict=Verdict.WARNING) from exc
    return f"{hostname} is {address}"


def healthy(hostname: str, authority: str = "") -> str:
    """
    Args:
        hostname: with `:port` where it is not 443.
        authority: PEM that is trusted beside the system's.
    Raises:
        NotAsExpected: no answer, an unhealthy one, or a certificate nobody trusts or that ends soon.
    """
    trust = ssl.create_default_context()
    if authority:
        trust.load_verify_locations(cadata=authority)
    days = _days_left(hostname, trust)
    if days < EXPIRES_DAYS_MIN:
        raise NotAsExpected(f"The certificate of {hostname} ends in {days} days", fix="See why it is not renewed")
    answer = httpx.get(f"https://{hostname}/health", verify=trust, timeout=_ANSWER_S)
    if answer.status_code != 200:
        fix = "The way in stands; look at the Gateway's pods"
        raise NotAsExpected(f"https://{hostname}/health answered {answer.status_code}", fix=fix)
    return f"/health is 200, the certificate holds {days} more days"


def _days_left(hostname: str, trust: ssl.SSLContext) -> int:
    host, _, port = hostname.partition(":")
    try:
        plain = socket.create_connection((host, int(port or 443)), timeout=_ANSWER_S)
        with plain, trust.wrap_socket(plain, server_hostname=host) as tls:
            certificate = tls.getpeercert() or {}
    except ssl.SSLCertVerificationError as exc:
        fix = "See the certificate in the cloud's console: is its proof by DNS in the zone?"
        raise NotAsExpected(f"Nobody trusts {hostname}: {exc.verify_message}", fix=fix) from exc
    except OSError as exc:
        fix = "Is the zone delegated, and do the Gateway's pods run?"
        raise NotAsExpected(f"{hostname} does not answer: {exc}", fix=fix) from exc
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    return (ends - datetime.now(UTC)).days
