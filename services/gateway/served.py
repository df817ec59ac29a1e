"""What the router says of the models' versions: which one it answers with, and whether it could serve another."""

from typing import Any

import httpx

from services.core.kit.errors import Conflict, RouterUnavailable

PROBE_TIMEOUT_S = 1.0
CHECK_TIMEOUT_S = 60.0  # it fetches the version's files, some hundred MB, and reads them
MODEL = "/v2/models/router"


async def served(state: Any) -> str | None:
    """The version that the router serves; None where it does not answer, or is not ready for want of one."""
    try:
        answer = await state.http.get(state.settings.router_url + MODEL, timeout=PROBE_TIMEOUT_S)
        versions = answer.json()["versions"] if answer.is_success else []
        return versions[0] if versions else None
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None


async def check(state: Any, version: str) -> None:
    """
    Asks the router, who may read models, whether the version's files are there and undamaged.

    Raises:
        Conflict: they are not. RouterUnavailable: no router could look.
    """
    silent = (
        f"The router does not say whether it could serve {version} (%s). Start one, or, where the objects are at hand:"
        f" pointsman models promote {version}"
    )
    try:
        url = f"{state.settings.router_url}{MODEL}/versions/{version}/stored"
        answer = await state.http.get(url, timeout=CHECK_TIMEOUT_S)
        answer.raise_for_status()
        problem = answer.json()["problem"]
    except httpx.HTTPStatusError as exc:
        raise RouterUnavailable(silent % exc.response.status_code) from exc
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as exc:
        raise RouterUnavailable(silent % type(exc).__name__) from exc
    if problem:
        raise Conflict(f"{version} cannot serve: {problem}")
