"""`/metrics` of a container that others reach, too: groups and volumes are a company's own."""

from fastapi import Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.core.kit.errors import NotFound

# Each of the four ways in adds the first, however its caller spells the path: a rule for paths alone can be got round.
THROUGH_A_PROXY = {"x-forwarded-for", "forwarded", "via"}


def refuse_from_outside(request: Request) -> None:
    """
    Raises:
        NotFound: it came through a proxy.
    """
    if THROUGH_A_PROXY.intersection(request.headers.keys()):
        raise NotFound("There is nothing at /metrics from outside: it is scraped where the container runs.")


def figures() -> Response:
    """Prometheus text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
