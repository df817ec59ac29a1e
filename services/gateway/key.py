"""
An API key out of a running gateway: `python -m services.gateway.key NAME [--role admin]`.

For whoever may start a process in its container (`kubectl exec`): the first key of a deployed platform, from where no
other machine reaches the database. It is written to that person's terminal and to no log; only its hash is kept.
"""

import argparse
import sys

import psycopg

from services.core.kit import login
from services.core.kit.errors import DatabaseUnavailable, PointsmanError
from services.core.kit.schema import look
from services.core.kit.security import Role, create_key
from services.gateway.settings import GatewaySettings

CONNECT_TIMEOUT_S = 5


def main() -> None:
    asked = _parse()
    try:
        sys.stdout.write(make(GatewaySettings.read(), asked.name, Role[asked.role.upper()]) + "\n")
    except PointsmanError as exc:
        sys.exit(f"key: {exc}")


def make(settings: GatewaySettings, name: str, role: Role) -> str:
    """
    Raises:
        DatabaseUnavailable: no answer, or not migrated. ConfigurationInvalid: another company's database.
    """
    try:
        with login.connect(
            settings.database_url.get_secret_value(), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
        ) as conn:
            if problem := look(conn).problem(settings.company):
                raise problem
            return create_key(conn, name=name, role=role)
    except psycopg.OperationalError as exc:
        raise DatabaseUnavailable(f"PostgreSQL does not answer: {exc}. Check POINTSMAN_DATABASE_URL.") from exc


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.gateway.key", description=__doc__)
    parser.add_argument("name", help="who will use it")
    parser.add_argument("--role", choices=[role.name.lower() for role in Role], default="agent")
    return parser.parse_args()


if __name__ == "__main__":
    main()
