"""
One function per provider: a pydantic-ai model, how it is asked for structure, and which errors mean "no credentials".

Vendors' libraries are imported when a provider is configured, not before: each costs 50 to 65 MiB of memory.
Retries belong to the workflow's steps, so the vendors' own are switched off.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from services.core.kit.errors import ConfigurationInvalid, LlmUnavailable
from services.core.kit.login import entra_token
from services.core.llm.config import Endpoint, LlmConfig

AZURE_RESOURCE = "https://cognitiveservices.azure.com"
CONNECT_TIMEOUT_S = 5.0
# Sent only where it helps and is accepted: reasoning models behind an Azure deployment reject it with a 400,
# and Google advises against it for Gemini 3 and later.
SAME_ANSWER_EACH_TIME = {"temperature": 0.0}


@dataclass(frozen=True)
class Provided:
    """`as_output` wraps an answer type in the way this provider fills structures best."""

    model: Any
    as_output: Callable[[type], Any]
    credential_errors: tuple[type[Exception], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def build_model(name: str, config: LlmConfig) -> Provided:
    """
    The model that `provider:name` stands for.

    Raises:
        ConfigurationInvalid: something the provider needs is not configured.
    """
    provider, _, model = name.partition(":")
    return PROVIDERS[provider](model, getattr(config, provider), config.timeout_s)


def _openai(model: str, endpoint: Endpoint, timeout_s: float) -> Provided:
    """OpenAI, vLLM, Ollama and whatever else speaks chat completions."""
    if endpoint.base_url is None and endpoint.api_key is None:
        raise ConfigurationInvalid(
            "openai: needs a base_url (your own server) or an api_key. "
            "For example POINTSMAN_LLM__OPENAI__BASE_URL=http://vllm.models.svc:8000/v1"
        )
    key = endpoint.api_key.get_secret_value() if endpoint.api_key else "none"  # a server of one's own asks for none
    provided = _chat(model, base_url=endpoint.base_url or "https://api.openai.com/v1", key=key, timeout_s=timeout_s)
    return replace(provided, settings=SAME_ANSWER_EACH_TIME) if endpoint.base_url else provided


def _azure(model: str, endpoint: Endpoint, timeout_s: float) -> Provided:
    """Azure OpenAI through its v1 endpoint, which needs no api-version; `model` is the deployment."""
    if endpoint.base_url is None:
        raise ConfigurationInvalid(
            "azure: needs a base_url. For example POINTSMAN_LLM__AZURE__BASE_URL=https://my-resource.openai.azure.com"
        )
    url = endpoint.base_url.rstrip("/").removesuffix("/openai/v1") + "/openai/v1"
    key = endpoint.api_key.get_secret_value() if endpoint.api_key else _entra_token()
    return _chat(model, base_url=url, key=key, timeout_s=timeout_s)


def _chat(model: str, *, base_url: str, key: Any, timeout_s: float) -> Provided:
    from openai import AsyncOpenAI
    from pydantic_ai import NativeOutput
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = AsyncOpenAI(base_url=base_url, api_key=key, timeout=timeout_s, max_retries=0)
    return Provided(OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client)), NativeOutput)


def _bedrock(model: str, endpoint: Endpoint, timeout_s: float) -> Provided:
    """Amazon Bedrock Converse. Nova fills a tool's arguments more reliably than it writes JSON, hence ToolOutput."""
    if endpoint.api_key is not None:
        raise ConfigurationInvalid("bedrock: takes no api_key; it uses the workload's AWS identity. Remove the key.")
    import boto3
    from botocore.config import Config
    from botocore.exceptions import NoCredentialsError, NoRegionError
    from pydantic_ai import ToolOutput
    from pydantic_ai.models.bedrock import BedrockConverseModel
    from pydantic_ai.providers.bedrock import BedrockProvider

    limits = Config(
        read_timeout=timeout_s, connect_timeout=CONNECT_TIMEOUT_S, retries={"total_max_attempts": 1, "mode": "standard"}
    )
    try:
        client = boto3.client(
            "bedrock-runtime", region_name=endpoint.region, endpoint_url=endpoint.base_url, config=limits
        )
    except NoRegionError as exc:
        raise ConfigurationInvalid("bedrock: no region. For example POINTSMAN_LLM__BEDROCK__REGION=us-east-1") from exc
    wrapped = BedrockConverseModel(model, provider=BedrockProvider(bedrock_client=client))
    return Provided(wrapped, ToolOutput, (NoCredentialsError,), SAME_ANSWER_EACH_TIME)


def _vertex(model: str, endpoint: Endpoint, timeout_s: float) -> Provided:
    """Gemini on Vertex AI with the workload's identity (project and region), or an express-mode key."""
    if endpoint.api_key is None and (endpoint.project is None or endpoint.region is None):
        raise ConfigurationInvalid(
            "vertex: needs a project and a region. For example POINTSMAN_LLM__VERTEX__PROJECT=my-project "
            "POINTSMAN_LLM__VERTEX__REGION=europe-west4"
        )
    from google.auth.exceptions import DefaultCredentialsError, RefreshError
    from pydantic_ai import NativeOutput
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google_cloud import GoogleCloudProvider

    provider = GoogleCloudProvider(
        api_key=endpoint.api_key.get_secret_value() if endpoint.api_key else None,
        project=endpoint.project,
        location=endpoint.region,
        base_url=endpoint.base_url,
    )
    settings = {"timeout": timeout_s, "max_retries": 0}
    return Provided(
        GoogleModel(model, provider=provider), NativeOutput, (DefaultCredentialsError, RefreshError), settings
    )


def _entra_token() -> Callable[[], Any]:
    """A token of the workload's own identity for each call; it is kept until shortly before its end."""

    async def fresh() -> str:
        try:
            return await asyncio.to_thread(entra_token, AZURE_RESOURCE)
        except psycopg.OperationalError as exc:
            raise LlmUnavailable(f"azure: {exc}") from exc

    return fresh


PROVIDERS: dict[str, Callable[[str, Endpoint, float], Provided]] = {
    "openai": _openai,
    "azure": _azure,
    "bedrock": _bedrock,
    "vertex": _vertex,
}
