"""A vendor's REST interface, signed with a token that is asked for each call. No SDK of that vendor is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from infra.checks import NotAsExpected, NotThere

Token = Callable[[], str]
TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Rest:
    """`base` is the interface's address, so a test can put its own server there."""

    base: str
    token: Token

    def get(self, path: str, **params: str) -> dict[str, Any]:
        return self.call("GET", path, params=params).json()

    def call(
        self, method: str, path: str, *, params: dict[str, str] | None = None, json: Any = None, **more: Any
    ) -> httpx.Response:
        """
        One call.

        Raises:
            NotThere: 404.
            NotAsExpected: another error.
        """
        url = path if path.startswith("http") else f"{self.base}/{path.lstrip('/')}"
        headers = {"Authorization": f"Bearer {self.token()}", **more.pop("headers", {})}
        response = httpx.request(method, url, params=params, json=json, headers=headers, timeout=TIMEOUT_S, **more)
        if response.is_error:
            fact = f"{method} {url} answered {response.status_code}"
            if response.status_code == 404:
                raise NotThere(fact, fix="It is not there: has `pulumi up` finished?")
            raise NotAsExpected(fact, fix=_words(response))
        return response


def google_token() -> Token:
    """Tokens of the application-default credentials: `gcloud auth application-default login`."""
    import google.auth
    import google.auth.transport.requests

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])

    def fresh() -> str:
        if not credentials.valid:
            credentials.refresh(google.auth.transport.requests.Request())
        return str(credentials.token)

    return fresh


def azure_token(scope: str) -> Token:
    """Tokens of whoever is signed in: `az login`, or the machine's identity."""
    from azure.identity import DefaultAzureCredential

    credential = DefaultAzureCredential()
    return lambda: credential.get_token(scope).token


def _words(response: httpx.Response) -> str:
    try:
        error = response.json().get("error", {})
        return str(error.get("message", ""))[:200] if isinstance(error, dict) else str(error)[:200]
    except ValueError:
        return response.text[:200]
