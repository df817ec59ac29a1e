"""What may be configured about the migrator."""

from pydantic import Field, field_validator

from services.core.kit.settings import PlatformSettings
from services.migrator.grants import GRANTS


class MigratorSettings(PlatformSettings):
    """`database_url` is the administrator's; `migrator_users` names the database user of each container."""

    migrator_users: dict[str, str] = Field(default_factory=lambda: {name: name for name in GRANTS}, min_length=1)

    @field_validator("migrator_users")
    @classmethod
    def _are_containers(cls, users: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(set(users) - set(GRANTS)):
            raise ValueError(f"{unknown} are no containers with a database user. Choose from {list(GRANTS)}")
        return users
