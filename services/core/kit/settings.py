"""
Settings come from environment variables named POINTSMAN_*, read once at start and passed as an argument.

Each service derives one frozen class from `PlatformSettings`. Nothing else in the tree reads the environment.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from pydantic import SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError
from pydantic_settings.sources import PydanticBaseSettingsSource

from services.core.kit.errors import ConfigurationInvalid

LEVELS = tuple(logging.getLevelNamesMapping())
S = TypeVar("S", bound=BaseSettings)
EXAMPLES = {
    "POINTSMAN_DATABASE_URL": "postgresql://pointsman:secret@127.0.0.1:5432/pointsman",
    "POINTSMAN_OBJECTS_URL": "file:///var/lib/pointsman/objects or s3://my-bucket/pointsman",
}


class PlatformSettings(BaseSettings):
    """What every container needs."""

    model_config = SettingsConfigDict(
        env_prefix="POINTSMAN_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    database_url: SecretStr
    objects_url: str = "file:.pointsman/objects"
    company: str = "default"  # whose database it is: a container refuses to work on another company's
    log_level: str = "INFO"

    @field_validator("log_level")
    @classmethod
    def _is_level(cls, word: str) -> str:
        if word.upper() not in LEVELS:
            raise ValueError(f"no level is called {word}. There are {', '.join(LEVELS)}")
        return word.upper()

    @classmethod
    def read(cls) -> Self:
        """The settings of this process; raises like `read_settings`."""
        return read_settings(cls)


class WorkloadIdentity(BaseSettings):
    """Who this workload is in its cloud, by the names that the clouds' own libraries read and their webhooks set."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    azure_client_id: str = ""
    azure_tenant_id: str = ""
    azure_federated_token_file: Path | None = None
    azure_authority_host: str = "https://login.microsoftonline.com"
    azure_pod_identity_authority_host: str = "http://169.254.169.254"
    gce_metadata_host: str = "metadata.google.internal"


def read_settings(kind: type[S], given: Mapping[str, str] | None = None) -> S:
    """
    The settings of this class from the environment, or from the variables `given`: those of a pod, for example.

    Raises:
        ConfigurationInvalid: naming each variable that is missing or wrong, with an example.
    """
    prefix = kind.model_config.get("env_prefix", "")
    try:
        return kind() if given is None else _told(kind, given)()
    except ValidationError as exc:
        raise ConfigurationInvalid(_explain(exc, prefix)) from exc
    except SettingsError as exc:  # a field of several values that is no JSON
        raise ConfigurationInvalid(f"Settings {prefix}*: {exc}. Write it as JSON.") from exc


def _told(kind: type[S], given: Mapping[str, str]) -> type[S]:
    """The same class, that reads these variables in place of the environment's."""

    def sources(_: type[S], settings_cls: type[BaseSettings], **__: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        source = EnvSettingsSource(settings_cls)
        source.env_vars = {name.lower(): value for name, value in given.items()}
        return (source,)

    return cast("type[S]", type(kind.__name__, (kind,), {"settings_customise_sources": classmethod(sources)}))


def _explain(error: ValidationError, prefix: str) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = prefix + "__".join(str(part) for part in problem["loc"]).upper()
        example = EXAMPLES.get(name)
        hint = f" For example: {name}={example}" if example else ""
        lines.append(f"Setting {name}: {problem['msg']}.{hint}")
    return "\n".join(lines)
