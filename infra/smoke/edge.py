"""Is the way in open, and does it speak TLS? The Gateway behind it is not this check's business."""

import socket

from infra.checks import NotAsExpected, Verdict


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
