"""What the registry knows of versions, and whether the store still holds them as they were registered."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from services.core.kit.errors import Unavailable
from services.router.settings import RouterSettings

if TYPE_CHECKING:
    from psycopg import Connection

    from services.core.models.registry import ModelRecord


def ask(settings: RouterSettings, question: "Callable[[Connection[Any]], ModelRecord]") -> "ModelRecord":
    """
    Raises:
        Unavailable: the database does not answer. PointsmanError: its schema is not ours, or what `question` raises.
    """
    import psycopg

    from services.core.kit import login
    from services.core.kit.schema import look

    try:
        with login.connect(settings.database_url.get_secret_value(), connect_timeout=5, autocommit=True) as conn:
            if (problem := look(conn).problem(settings.company)) is not None:
                raise problem
            return question(conn)
    except psycopg.Error as exc:
        raise Unavailable(f"The registry's database does not answer ({type(exc).__name__}).") from exc


class StoreWatch:
    """
    Whether a version could be served, for who may not read models: nothing is loaded and nothing kept of it.

    One version at a time, so that who asks often takes neither the memory nor the network of those who route.
    """

    def __init__(self, settings: RouterSettings) -> None:
        self._settings = settings
        self._looking = asyncio.Lock()

    async def check(self, version: str) -> None:
        """
        Raises:
            NotFound: it is not registered. Unavailable: a file is missing or damaged, or another version is looked at.
        """
        if self._looking.locked():
            raise Unavailable("The router looks at another version's files. Try again in some seconds.")
        async with self._looking:
            await asyncio.to_thread(self._check, version)

    def _check(self, version: str) -> None:
        from services.core.kit.objects import open_store
        from services.core.models.registry import check_stored, find

        record = ask(self._settings, lambda conn: find(conn, version))
        check_stored(open_store(self._settings.objects_url), record)
