"""How the client calls: one connection pool, answers read into models, refusals as errors."""

from collections.abc import Mapping
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, TypeAdapter

T = TypeVar("T")
TIMEOUT_S = 60.0  # `Prefer: wait` is answered after 30 at the latest, a batch of predictions may take longer than that


class Model(BaseModel):
    """A message of the API. Fields of a newer gateway are left out, so that it does not break an older client."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class PointsmanRefused(Exception):
    """The gateway refused. `error` names the kind, `message` says fact and fix; `retry_after_s` where it told."""

    def __init__(self, status: int, error: str, message: str, retry_after_s: float | None) -> None:
        super().__init__(f"{status} {error}: {message}")
        self.status, self.error, self.message, self.retry_after_s = status, error, message, retry_after_s


class NotReached(Exception):
    """No answer: the connection broke or the time was over. Whether the call took effect is not known."""


class Transport:
    """State: the connections. Safe for several threads; close it, or use it in `with`."""

    def __init__(
        self, url: str, api_key: str, *, timeout_s: float = TIMEOUT_S, http: httpx.Client | None = None
    ) -> None:
        self._http = http or httpx.Client(timeout=timeout_s)
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"}

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        body: BaseModel | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> T:
        """
        Raises:
            PointsmanRefused, NotReached
        """
        given = {name: value for name, value in (headers or {}).items() if value is not None}
        content = body.model_dump_json(exclude_unset=True).encode() if body is not None else None
        if content is not None:
            given["Content-Type"] = "application/json"
        params = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            found = self._http.request(
                method, self._url + path, params=params, content=content, headers={**self._headers, **given}
            )
        except httpx.HTTPError as exc:
            raise NotReached(f"{method} {path}: {type(exc).__name__}. Check the address, and try again.") from exc
        if found.is_success:
            return _reader(answer).validate_json(found.content)
        raise _refused(found)


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _refused(found: httpx.Response) -> PointsmanRefused:
    try:
        said = found.json()
        error, message = str(said["error"]), str(said["message"])
    except (ValueError, KeyError, TypeError):
        error, message = "Refused", f"The answer is not the gateway's own: {found.reason_phrase}"
    wait = found.headers.get("retry-after", "")
    return PointsmanRefused(found.status_code, error, message, float(wait) if wait.isdigit() else None)
