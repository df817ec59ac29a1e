"""Writes a test object, reads it back and removes it: the same code on S3, Azure Blob and Cloud Storage."""

import secrets
from typing import Any

from infra.checks import NotAsExpected


def round_trip(url: str, **reach: Any) -> str:
    """
    Raises:
        NotAsExpected: what came back is not what was written.
    """
    import obstore
    from obstore.store import from_url

    store = from_url(url, **reach)
    name, body = f"smoke/{secrets.token_hex(8)}", secrets.token_bytes(64)
    obstore.put(store, name, body)
    try:
        if bytes(obstore.get(store, name).bytes()) != body:
            raise NotAsExpected(f"{url} gave back other bytes than were written")
    finally:
        obstore.delete(store, name)
    return f"{len(body)} bytes written, read back and removed in {url}"
