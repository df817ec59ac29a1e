"""What may be configured about connectors. Reading the environment is the services' business."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from services.core.connectors import standard_webhooks
from services.core.kit.errors import ConfigurationInvalid


def _is_webhook_secret(secret: SecretStr) -> SecretStr:
    try:
        standard_webhooks.key_of(secret)
    except ConfigurationInvalid as exc:
        raise ValueError(exc.message) from exc
    return secret


def _is_not_blank(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError("A secret is blank. Remove it or give its value.")
    return secret


def _is_http_url(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url!r} is not a URL. Give e.g. https://example.zendesk.com")
    return url.rstrip("/")


WebhookSecret = Annotated[SecretStr, AfterValidator(_is_webhook_secret)]
PlainSecret = Annotated[SecretStr, AfterValidator(_is_not_blank)]
HttpUrl = Annotated[str, AfterValidator(_is_http_url)]


class ConnectorSettings(BaseModel):
    """
    A connector is switched on by giving it a secret. Several secrets: the sender is moving from one to the next.

    `zendesk_user_id` is the user our token belongs to, so that our own updates can be told from people's.
    Zendesk takes either `zendesk_oauth_token`, or `zendesk_email` with `zendesk_api_token`.
    """

    # A refused value may be a mistyped secret: errors must not show it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    tolerance_s: float = Field(default=300, gt=0)  # Standard Webhooks and Zendesk both recommend five minutes
    timeout_s: float = Field(default=10, gt=0)  # a call to a ticketing system; the workflow retries

    desk_secrets: tuple[WebhookSecret, ...] = ()

    generic_secrets: tuple[WebhookSecret, ...] = ()
    generic_callback_url: HttpUrl | None = None
    generic_callback_secret: WebhookSecret | None = None

    zendesk_secrets: tuple[PlainSecret, ...] = ()
    zendesk_base_url: HttpUrl | None = None
    zendesk_email: str | None = None
    zendesk_api_token: PlainSecret | None = None
    zendesk_oauth_token: PlainSecret | None = None
    zendesk_user_id: str | None = None

    @model_validator(mode="after")
    def _zendesk_is_whole(self) -> Self:
        has_credentials = self.zendesk_oauth_token or (self.zendesk_email and self.zendesk_api_token)
        if self.zendesk_base_url and not has_credentials:
            raise ValueError("zendesk_base_url needs zendesk_oauth_token, or zendesk_email with zendesk_api_token.")
        if self.zendesk_base_url and not self.zendesk_user_id:
            raise ValueError("zendesk_user_id is missing: without it we would answer our own updates. Give e.g. 903.")
        return self

    def has_secret_for(self, connector: str) -> bool:
        """Whether calls to `/hooks/{connector}` can be verified at all."""
        return bool(getattr(self, f"{connector}_secrets"))
