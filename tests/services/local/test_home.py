"""Which settings the laptop's containers get."""

from pathlib import Path

import pytest

from services.local.home import Home
from tests.platform import build_home

THEIRS = {
    "POINTSMAN_DATABASE_URL": "postgresql://production/pointsman",
    "POINTSMAN_OBJECTS_URL": "s3://production/pointsman",
    "POINTSMAN_ROUTER_URL": "http://production:8081",
    "POINTSMAN_WORKER_ID": "worker-7",
    "POINTSMAN_COMPANY": "acme",
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = build_home(tmp_path / "home")
    home.postgres.folder.mkdir(parents=True)
    home.write_private(home.postgres.folder / "password", "secret")
    return home


def test_a_deployments_settings_do_not_reach_the_laptop(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exported for production, they are ignored, and named."""
    for name, value in THEIRS.items():
        monkeypatch.setenv(name, value)
    environment = home.environment()
    assert environment["POINTSMAN_DATABASE_URL"] == home.postgres.url
    assert not set(THEIRS.values()) & set(environment.values())
    assert sorted(home.ignored()) == sorted(THEIRS)


def test_other_settings_of_the_user_win(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is said about them, or about a value that is ours anyway."""
    monkeypatch.setenv("POINTSMAN_ROUTER_POLL_S", "9")
    monkeypatch.setenv("POINTSMAN_GATEWAY_PORT", str(home.settings.gateway_port))
    assert home.environment()["POINTSMAN_ROUTER_POLL_S"] == "9"
    assert home.ignored() == []


def test_others_on_the_machine_see_nothing_of_it(tmp_path: Path) -> None:
    """Logs and objects could be read by everybody; as root PostgreSQL's user passes through, and sees no list."""
    made = build_home(tmp_path / "home")
    made.prepare()
    assert made.folder.stat().st_mode & 0o066 == 0
    assert [(made.folder / name).stat().st_mode & 0o077 for name in ("logs", "objects")] == [0, 0]
