"""Where price interfaces are, and the one key that is needed; everything else is public."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class RefreshSettings(BaseSettings):
    """`POINTSMAN_COST_*`. AWS takes its credentials from where its SDK always does."""

    model_config = SettingsConfigDict(env_prefix="POINTSMAN_COST_", frozen=True, extra="ignore")

    azure_url: str = "https://prices.azure.com/api/retail/prices"
    gcp_url: str = "https://cloudbilling.googleapis.com/v1"
    gcp_api_key: SecretStr | None = Field(None, description="any key of a project with the Cloud Billing API")
    timeout_s: float = Field(30, gt=0)
