"""OAuth client credentials (RFC 6749, 4.4) for httpx: a token is fetched once, and anew when it is refused."""

import time
from collections.abc import Generator

import httpx
from pydantic import SecretStr

from services.core.kit.oauth import read_token


class ClientCredentials(httpx.Auth):
    """`token_url` is the server's; the secret goes into the body of the request for a token and nowhere else."""

    requires_response_body = True

    def __init__(self, token_url: str, client_id: str, client_secret: SecretStr) -> None:
        self._token_url = token_url
        self._form = {"grant_type": "client_credentials", "client_id": client_id}
        self._secret = client_secret
        self._token, self._until_s = "", 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        is_fresh = time.monotonic() >= self._until_s
        if is_fresh:
            self._keep((yield self._ask(request)))
        answer = yield self._signed(request)
        if answer.status_code == 401 and not is_fresh:
            self._keep((yield self._ask(request)))
            yield self._signed(request)

    def _ask(self, request: httpx.Request) -> httpx.Request:
        form = self._form | {"client_secret": self._secret.get_secret_value()}
        asked = httpx.Request("POST", self._token_url, data=form, headers={"accept": "application/json"})
        asked.extensions = request.extensions  # its time-out
        return asked

    def _keep(self, answer: httpx.Response) -> None:
        token = read_token(answer, self._token_url)
        self._token, self._until_s = token.value, token.until_s

    def _signed(self, request: httpx.Request) -> httpx.Request:
        request.headers["authorization"] = f"Bearer {self._token}"
        return request
