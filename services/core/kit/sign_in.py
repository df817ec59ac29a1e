"""
Who calls, by their key, and wrong keys in floods: for every container that is called from outside.

Needs of the application's state: `failures` (a RateGate), `key_ring` (a KeyRing) and `intake_pool`.
"""

from collections.abc import Generator
from contextlib import contextmanager

from starlette.requests import Request

from services.core.kit.database import connection
from services.core.kit.errors import KeyMissing, SignatureInvalid, Unauthenticated
from services.core.kit.rates import network
from services.core.kit.security import Principal, authenticate


async def sign_in(request: Request, key: str | None, *, takes_session: bool = False) -> Principal:
    """
    The holder of `key`; a session's value is one only where `takes_session`.

    Raises:
        Unauthenticated: no key, or a wrong one.
        RateLimited: a wrong one, and too many came from its address in this minute. Right ones always pass.
    """
    state = request.app.state
    with counting_failures(request):
        if key and state.failures.is_over(address_of(request)) and not await state.key_ring.has(key):
            raise Unauthenticated("This API key is not known.")
        async with connection(state.intake_pool) as conn:  # short, and plain JSON comes in by it
            return await authenticate(conn, key, takes_session=takes_session)


@contextmanager
def counting_failures(request: Request) -> Generator[None]:
    """
    Wrong keys, links and signatures count together, for the address they came from; to bring none is no failure.

    Raises:
        RateLimited: instead of the failure, beyond so many in this minute.
    """
    try:
        yield
    except KeyMissing:
        raise
    except (SignatureInvalid, Unauthenticated):
        request.app.state.failures.pass_or_refuse(address_of(request))
        raise


def address_of(request: Request) -> str:
    """What calls are counted for: the peer's network, unless a trusted proxy names another."""
    return network(request.client.host if request.client else "")
