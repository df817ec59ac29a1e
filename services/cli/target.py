"""Which platform a command talks to: the one named in the environment, or this machine's own."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.core.kit.errors import (
    DatabaseUnavailable,
    InputInvalid,
    NotFound,
    PointsmanError,
    Unauthenticated,
    Unavailable,
)
from services.core.kit.locks import Lock
from services.core.kit.settings import PlatformSettings, read_settings
from services.local.home import Home, LocalSettings

TIMEOUT_S = 30.0


class RemoteSettings(BaseSettings):
    """POINTSMAN_URL and POINTSMAN_API_KEY point the command line at a deployed gateway."""

    model_config = SettingsConfigDict(env_prefix="POINTSMAN_", frozen=True, extra="ignore")

    url: str | None = None
    api_key: SecretStr | None = None
    database_url: SecretStr | None = None
    objects_url: str | None = None


class Api:
    """The gateway's API, with its errors turned back into ours."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url, headers=self.headers, timeout=TIMEOUT_S)

    def get(self, path: str, **parameters: Any) -> Any:
        return self._call("GET", path, params={k: v for k, v in parameters.items() if v is not None})

    def post(self, path: str, **content: Any) -> Any:
        return self._call("POST", path, **content)

    def put(self, path: str, **content: Any) -> Any:
        return self._call("PUT", path, **content)

    def health(self) -> dict[str, Any]:
        """What the gateway says of itself; one whose database is away says so with a 503."""
        answer = self._ask("GET", "/health")
        is_body = answer.headers.get("content-type", "").startswith("application/json")
        if is_body and (answer.is_success or answer.status_code == 503):
            return answer.json()
        raise _error(answer)

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._ask(method, path, **arguments)
        if answer.is_success:
            return answer.json()
        raise _error(answer)

    def _ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **arguments)
        except httpx.HTTPError as exc:
            raise Unavailable(
                f"No gateway answers at {self.url} ({type(exc).__name__}). Start one with: pointsman up"
            ) from exc


def open_api() -> Api:
    """
    The gateway to talk to.

    Raises:
        Unauthenticated: no key is at hand.
    """
    remote = read_settings(RemoteSettings)
    if remote.url is not None:
        if remote.api_key is None:
            raise Unauthenticated(
                "POINTSMAN_URL is set but POINTSMAN_API_KEY is not. Make a key with: pointsman keys create NAME"
            )
        return Api(remote.url, remote.api_key.get_secret_value())
    return open_home(Home(read_settings(LocalSettings)))


def open_home(home: Home) -> Api:
    """
    This machine's own gateway, with the command line's key, which only its owner can read.

    Raises:
        Unavailable: no platform was started here yet.
    """
    key_file = home.folder / "api_key"
    if not key_file.exists():
        raise Unavailable("No platform was started here yet. Start one with: pointsman up")
    return Api(home.gateway_url, key_file.read_text("utf-8").strip())


@contextmanager
def open_platform() -> Generator[PlatformSettings]:
    """
    Database and object store for commands that need them directly. Without POINTSMAN_DATABASE_URL these are this
    machine's own; its PostgreSQL is started when it does not run, and the last command that uses it stops it.
    """
    from services.core.kit.database import migrate

    with open_server() as settings:
        if read_settings(RemoteSettings).database_url is None:
            migrate(settings.database_url.get_secret_value(), settings.company)
        yield settings


@contextmanager
def open_server() -> Generator[PlatformSettings]:
    """As `open_platform`, with the database as it is: for commands that make or migrate one."""
    if read_settings(RemoteSettings).database_url is not None:
        yield PlatformSettings.read()
        return
    home = Home(read_settings(LocalSettings))
    home.prepare()
    with _in_use(home) as url:
        yield PlatformSettings(
            database_url=SecretStr(url), objects_url=f"file://{home.folder / 'objects'}", company=home.settings.company
        )


@contextmanager
def _in_use(home: Home) -> Generator[str]:
    """The address of this machine's PostgreSQL, which no other command stops inside the block."""
    with _join(home) as conn:
        try:
            yield home.postgres.url
        finally:
            is_last = _leave(conn)
            conn.close()
            if is_last and not home.running_file.exists():
                home.postgres.stop()


def _join(home: Home) -> psycopg.Connection:
    try:
        conn = psycopg.connect(home.postgres.start(), autocommit=True)
        conn.execute("select pg_advisory_lock_shared(%s)", (Lock.IN_USE.value,))
    except psycopg.OperationalError as exc:
        raise DatabaseUnavailable("Another command was just stopping PostgreSQL. Run this one again.") from exc
    return conn


def _leave(conn: psycopg.Connection) -> bool:
    """Whether no other command is left."""
    try:
        conn.execute("select pg_advisory_unlock_shared(%s)", (Lock.IN_USE.value,))
        return conn.execute("select pg_try_advisory_lock(%s)", (Lock.IN_USE.value,)).fetchone() == (True,)
    except psycopg.OperationalError:  # `pointsman up` has stopped it meanwhile
        return False


def _error(answer: httpx.Response) -> PointsmanError:
    try:
        message = answer.json()["message"]
    except (ValueError, KeyError, TypeError):
        message = f"The gateway answered {answer.status_code}."
    kinds = {401: Unauthenticated, 403: Unauthenticated, 404: NotFound, 422: InputInvalid}
    return kinds.get(answer.status_code, Unavailable)(message)
