"""Where a version's model card and data card lie, for those who write them and those who show them."""

import asyncio

from services.core.kit.errors import NotFound, Unavailable
from services.core.kit.objects import open_store

CARD_FOLDER = "card"  # beside a bundle's files
MODEL_PAGE, DATA_PAGE = "model.html", "data.html"


async def read_page(objects_url: str, version: str, page: str) -> bytes:
    """
    One page of the cards: HTML with its plots in it.

    Raises:
        NotFound: no such page is where this process looks. Unavailable: the object store does not let it look.
    """
    return await asyncio.to_thread(_read, objects_url, f"models/{version}/{CARD_FOLDER}/{page}", version)


def _read(objects_url: str, path: str, version: str) -> bytes:
    import obstore
    from obstore.exceptions import BaseError

    otherwise = f"Where the objects are at hand: pointsman models card {version}"
    try:
        return bytes(obstore.get(open_store(objects_url), path).bytes())
    except FileNotFoundError as exc:
        raise NotFound(f"There is no {path} in this process's object store. {otherwise}") from exc
    except (OSError, BaseError) as exc:
        raise Unavailable(f"The object store does not let this process read {path}. {otherwise}") from exc
