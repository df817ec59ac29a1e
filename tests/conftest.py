"""Shared fixtures: one embedded PostgreSQL for the whole run, one fresh migrated database per test that asks."""

import os
import secrets
import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from services.core.kit.collecting import settle
from services.core.kit.database import migrate
from services.core.kit.errors import ConfigurationInvalid
from services.local.postgres import EmbeddedPostgres
from services.local.systems.dovecot import MailServer
from services.local.systems.dovecot import dovecot as dovecot_in
from services.local.systems.program import Program
from services.local.systems.redmine import redmine as redmine_in
from services.local.systems.request_tracker import request_tracker as request_tracker_in

# The rooms of the conformance suite are no test modules: without this a claim that fails would not say what was found.
for room in ("conformance", "inbound", "outbound", "polling"):
    pytest.register_assert_rewrite(f"tests.services.core.connectors.{room}")

Started = TypeVar("Started", bound=Program)

# An HTTP client reads the authorities from a file, .03 s of processor each; in a folder it looks them up if needed.
if "SSL_CERT_FILE" in os.environ:
    os.environ.setdefault("PIP_CERT", os.environ.pop("SSL_CERT_FILE"))
os.environ.setdefault("SSL_CERT_DIR", ssl.get_default_verify_paths().openssl_capath)

# Of a machine that others share a test's inputs may come slowly: that is no finding.

settings.register_profile("shared", settings(deadline=None, suppress_health_check=[HealthCheck.too_slow]))
settings.load_profile("shared")


def pytest_collection_finish() -> None:
    """What the modules of all tests have built stays until the end: nobody need look through it for garbage."""
    settle()


if TYPE_CHECKING:
    from services.core.search.encoder import TextEncoder
    from tests.planned import Plans
    from tests.platform import Platform


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with public evaluation data; tests that measure on it are skipped without it."""
    folder = os.environ.get("POINTSMAN_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("POINTSMAN_DATA does not name the folder with the evaluation datasets")
    return Path(folder)


@pytest.fixture(scope="session")
def plans(tmp_path_factory: pytest.TempPathFactory) -> "Plans":
    """The nine real stacks by cloud and profile."""
    from tests.planned import PROFILES, planned

    reports = [planned(profile, tmp_path_factory) for profile in PROFILES]
    return {(stack.cloud, stack.profile): stack for report in reports for stack in report.stacks}


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """
    A folder that every user can reach, gone after the run: under root PostgreSQL is another user.

    Not pytest's own: a second run sets the mode of their common parent back while the first still uses it.
    """
    folder = Path(tempfile.mkdtemp(prefix="pointsman-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A running server of its own for this test run."""
    server = EmbeddedPostgres(open_folder / "postgres", free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """A migrated database that fresh ones are copied from: a copy takes tens of milliseconds, a migration seconds."""
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute("create database template_migrated")
    migrate(_with_database(postgres.url, "template_migrated"))
    return "template_migrated"


@pytest.fixture
def database(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """The address of a fresh, migrated, empty database."""
    yield from fresh_database(postgres, template)


def fresh_database(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """For fixtures of another scope than `database`, too."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(f"create database {name} template {template}")
    yield _with_database(postgres.url, name)
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def text_encoder(tmp_path_factory: pytest.TempPathFactory) -> "TextEncoder":
    """The search's real encoder, exported once."""
    from services.core.search.encoder import open_encoder
    from services.trainer.text_encoder import export_text_encoder

    folder = tmp_path_factory.mktemp("encoder")
    export_text_encoder(folder)
    return open_encoder(folder)


@pytest.fixture(scope="session")
def platform(open_folder: Path) -> Iterator["Platform"]:
    """All containers as real processes for the tests that share them; each test brings tickets of its own."""
    from tests.platform import run_platform

    with run_platform(open_folder / "platform") as running:
        yield running


@pytest.fixture(scope="session")
def request_tracker(open_folder: Path) -> Iterator[Program]:
    """The real Request Tracker, running; tests that use it bring tickets of their own."""
    yield from _running(request_tracker_in, open_folder / "request-tracker")


@pytest.fixture(scope="session")
def redmine(open_folder: Path) -> Iterator[Program]:
    """The real Redmine, running; tests that use it bring projects of their own."""
    yield from _running(redmine_in, open_folder / "redmine")


@pytest.fixture(scope="session")
def dovecot(open_folder: Path) -> Iterator[MailServer]:
    """The real Dovecot, running; tests that use it bring users of their own."""
    yield from _running(dovecot_in, open_folder / "dovecot")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _running(make: Callable[[Path, int], Started], folder: Path) -> Iterator[Started]:
    try:
        program = make(folder, free_port())
    except ConfigurationInvalid as exc:
        pytest.skip(exc.message)
    program.start()
    yield program
    program.stop()


def _with_database(url: str, name: str) -> str:
    return url.rsplit("/", 1)[0] + f"/{name}"
