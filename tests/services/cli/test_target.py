"""Commands whose platform is wrong, away, or shared with other commands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from services.local.home import Home
from services.local.platform import is_ready
from tests.conftest import free_port
from tests.platform import Platform, build_home, user_environment


def cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.cli", *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "name", "value", "words"),
    [
        (("up",), "POINTSMAN_GATEWAY_PORT", "abc", "Setting POINTSMAN_GATEWAY_PORT: Input should be a valid integer"),
        (("status",), "POINTSMAN_GATEWAY_PORT", "0", "Setting POINTSMAN_GATEWAY_PORT: Input should be greater"),
        (("keys", "list"), "POINTSMAN_POSTGRES_PORT", "70000", "Setting POINTSMAN_POSTGRES_PORT"),
        (("keys", "list"), "POINTSMAN_DATABASE_URL", "localhost", "Write it like postgresql://"),
    ],
)
def test_a_wrong_setting_is_named(arguments: tuple[str, ...], name: str, value: str, words: str) -> None:
    """Exit 1 and the variable, no traceback."""
    done = cli(*arguments, **{name: value})
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert words in done.stderr


@pytest.mark.parametrize("arguments", [("keys", "create", "n8n"), ("keys", "list"), ("audit", "verify")])
def test_a_database_that_does_not_answer_is_a_sentence(arguments: tuple[str, ...]) -> None:
    """Exit 1 and the variable to check."""
    done = cli(*arguments, POINTSMAN_DATABASE_URL=f"postgresql://u:p@127.0.0.1:{free_port()}/x")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "PostgreSQL does not answer" in done.stderr
    assert "POINTSMAN_DATABASE_URL" in done.stderr


def test_status_says_what_is_down(platform: Platform) -> None:
    """The database is away: the gateway's own words, and exit 1."""
    platform.home.postgres.stop()
    try:
        done = platform.cli("status", "--format", "json")
    finally:
        platform.wait_until(lambda: is_ready(platform.home), "the platform with its database")
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "down"


@pytest.fixture
def home(open_folder: Path) -> Home:
    return build_home(open_folder / "quiet")


def hold_platform(home: Home) -> subprocess.Popen[str]:
    """A command that has its platform open until it reads a line."""
    code = "from services.cli.target import *\nwith open_platform(): print('in', flush=True); input()"
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(
        command, env=user_environment(home), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


def test_the_last_command_stops_the_database_and_no_earlier_one(home: Home) -> None:
    """A command that ends while another works leaves PostgreSQL to it, also when it had started it."""
    first, second = hold_platform(home), hold_platform(home)
    first.communicate("\n")
    with psycopg.connect(home.postgres.url) as conn:
        assert conn.execute("select count(*) from api_keys").fetchone() == (0,)
    second.communicate("\n")
    assert (first.returncode, second.returncode) == (0, 0)
    assert not home.postgres.is_running()
