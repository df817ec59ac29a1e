"""
An API key out of a running gateway: `python -m services.gateway.key NAME [--role admin]`.

For whoever may start a process in its container (`kubectl exec`): the first key of a deployed platform, from where no
other machine reaches the database. It is written to that person's terminal and to no log; only its hash is kept.
"""

import argparse
import sys

from services.core.kit.errors import PointsmanError
from services.core.kit.schema import connected
from services.core.kit.security import Role, create_key
from services.gateway.settings import GatewaySettings


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
    with connected(settings) as conn:
        return create_key(conn, name=name, role=role)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.gateway.key", description=__doc__)
    parser.add_argument("name", help="who will use it")
    parser.add_argument("--role", choices=[role.name.lower() for role in Role], default="agent")
    return parser.parse_args()


if __name__ == "__main__":
    main()
