"""Which platform a command talks to: the one named in the environment, or this machine's own."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.core.kit.errors import InputInvalid, NotFound, PointsmanError, Unauthenticated, Unavailable
from services.core.kit.settings import PlatformSettings
from services.local.home import Home, LocalSettings

TIMEOUT_S = 30.0


class RemoteSettings(BaseSettings):
    """POINTSMAN_URL and POINTSMAN_API_KEY point the command line at a deployed gateway."""

    model_config = SettingsConfigDict(env_prefix="POINTSMAN_", frozen=True, extra="ignore")

    url: str | None = None
    api_key: SecretStr | None = None
    database_url: SecretStr | None = None


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

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = self._http.request(method, path, **arguments)
        except httpx.HTTPError as exc:
            raise Unavailable(
                f"No gateway answers at {self.url} ({type(exc).__name__}). Start one with: pointsman up"
            ) from exc
        if answer.is_success:
            return answer.json()
        raise _error(answer)


def open_api() -> Api:
    """
    The gateway to talk to.

    Raises:
        Unauthenticated: no key is at hand.
    """
    remote = RemoteSettings()
    if remote.url is not None:
        if remote.api_key is None:
            raise Unauthenticated(
                "POINTSMAN_URL is set but POINTSMAN_API_KEY is not. Make a key with: pointsman keys create NAME"
            )
        return Api(remote.url, remote.api_key.get_secret_value())
    home = Home(LocalSettings())
    key_file = home.folder / "api_key"
    if not key_file.exists():
        raise Unavailable("No platform was started here yet. Start one with: pointsman up")
    return Api(home.gateway_url, key_file.read_text("utf-8").strip())


@contextmanager
def open_platform() -> Generator[PlatformSettings]:
    """
    Database and object store for commands that need them directly. Without POINTSMAN_DATABASE_URL these are this
    machine's own; its PostgreSQL is started when it does not run, and stopped again afterwards.
    """
    if RemoteSettings().database_url is not None:
        yield PlatformSettings.read()
        return
    from services.core.kit.database import migrate

    home = Home(LocalSettings())
    home.prepare()
    was_running = home.postgres.is_running()
    url = home.postgres.start()
    try:
        migrate(url)
        yield PlatformSettings(
            database_url=SecretStr(url), objects_url=f"file://{home.folder / 'objects'}", tenant=home.settings.tenant
        )
    finally:
        if not was_running and not home.running_file.exists():  # `pointsman up` may have taken it over meanwhile
            home.postgres.stop()


def _error(answer: httpx.Response) -> PointsmanError:
    try:
        message = answer.json()["message"]
    except (ValueError, KeyError, TypeError):
        message = f"The gateway answered {answer.status_code}."
    kinds = {401: Unauthenticated, 403: Unauthenticated, 404: NotFound, 422: InputInvalid}
    return kinds.get(answer.status_code, Unavailable)(message)
