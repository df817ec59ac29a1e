"""
Brings a company's database to what this version needs: `python -m services.migrator`, before the other containers.

Exit code 0: schema, users and grants are as this version wants them; 1: a problem, said on stderr.
"""

import sys

import psycopg

from services.core.kit.errors import PointsmanError
from services.core.kit.telemetry import configure_logs
from services.migrator.service import run
from services.migrator.settings import MigratorSettings


def main() -> None:
    try:
        settings = MigratorSettings.read()
        configure_logs("migrator", settings.log_level)
        run(settings.database_url.get_secret_value(), settings.company, settings.migrator_users)
    except PointsmanError as exc:
        sys.exit(f"migrator: {exc}")
    except psycopg.errors.InsufficientPrivilege as exc:
        sys.exit(f"migrator: the database's administrator must run this: {exc}")
    except psycopg.OperationalError as exc:
        sys.exit(f"migrator: PostgreSQL does not answer: {exc}. Check POINTSMAN_DATABASE_URL.")


if __name__ == "__main__":
    main()
