"""Redmine 5, the real one: Debian's package on a SQLite database of its own, with its REST interface switched on."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from services.local.systems.program import Program, once, prepare, require

NAME = "Redmine"
PACKAGES = ("redmine", "redmine-sqlite", "puma")
CODE = Path("/usr/share/redmine")
INSTANCE = Path("/etc/redmine/default/database.yml")  # made by the package for whoever serves Redmine: root or www-data
# What the package's own installation made. Copied while nobody has used it: Rails takes a minute to make another.
FRESH = Path("/var/lib/dbconfig-common/sqlite3/redmine/instances/default/redmine_default")
SIGN_IN = ("admin", "admin")  # what its own installer sets; it listens on this machine only
# Its own pages would do the same after two forced visits: REST is off, and the first sign-in wants another password.
OPEN = (
    "insert into settings (name, value, updated_on) values ('rest_api_enabled', '1', datetime('now'))",
    "update users set must_change_passwd = 0 where login = 'admin'",
)


def redmine(folder: Path, port: int) -> Program:
    """
    Made ready in `folder` on the first call, not yet started.

    Raises:
        ConfigurationInvalid: its packages are not installed, or only root may read their configuration.
        Unavailable: its database could not be made.
    """
    for path in (CODE / "config.ru", INSTANCE):
        require(path, name=NAME, packages=PACKAGES)
    folder = folder.absolute()
    database = folder / "database"
    once(folder, lambda: _make(database))
    return Program(
        name=NAME,
        folder=folder,
        url=f"http://127.0.0.1:{port}",
        sign_in=SIGN_IN,
        answers_at="/users/current.json",
        command=["puma", "-b", f"tcp://127.0.0.1:{port}", "config.ru"],
        environment=_environment(database),
        working_folder=CODE,
    )


def _make(database: Path) -> None:
    if _is_fresh(FRESH):
        shutil.copy(FRESH, database)
    else:
        for task in ("db:migrate", "redmine:load_default_data"):
            prepare(["bundle", "exec", "rake", task], _environment(database), name=NAME, folder=CODE)
    with sqlite3.connect(database) as connection:
        for statement in OPEN:
            connection.execute(statement)


def _is_fresh(database: Path) -> bool:
    """Whether it can be read, has the default data, and nobody's own: another one's projects are not ours to copy."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            [(projects, trackers)] = connection.execute(
                "select (select count(*) from projects), (select count(*) from trackers)"
            )
    except sqlite3.Error:
        return False
    return projects == 0 and trackers > 0


def _environment(database: Path) -> dict[str, str]:
    return {
        "X_DEBIAN_SITEID": "default",
        "RAILS_ENV": "production",
        "REDMINE_LANG": "en",
        "DATABASE_URL": f"sqlite3:{database}?timeout=30000",  # a writer waits for the other; without, it is a 500
        "SCHEMA": f"{database}.schema.rb",
        "HOME": str(database.parent),
    }
