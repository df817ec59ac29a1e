"""The real programs: made ready once, and what was typed into them outlives a kill."""

from pathlib import Path

import httpx
import pytest

from services.core.kit.errors import ConfigurationInvalid
from services.local.systems.program import Program, once, require


def test_a_ticket_typed_into_request_tracker_outlives_a_kill(request_tracker: Program) -> None:
    """The database is a file of ours, not the server's memory."""
    with httpx.Client(base_url=request_tracker.url, auth=request_tracker.sign_in, timeout=60) as http:
        made = http.post("/REST/2.0/ticket", json={"Queue": "General", "Subject": "VPN", "Content": "Broken"}).json()
        request_tracker.kill()
        assert not request_tracker.answers()  # its workers went with it
        request_tracker.start()
        assert http.get(f"/REST/2.0/ticket/{made['id']}").json()["Subject"] == "VPN"


def test_an_issue_typed_into_redmine_outlives_a_kill(redmine: Program) -> None:
    """As above."""
    with httpx.Client(base_url=redmine.url, auth=redmine.sign_in, timeout=60) as http:
        http.post("/projects.json", json={"project": {"name": "Kill", "identifier": "kill"}}).raise_for_status()
        issue = {"project_id": "kill", "subject": "VPN", "tracker_id": 3}
        made = http.post("/issues.json", json={"issue": issue}).raise_for_status().json()["issue"]
        redmine.kill()
        redmine.start()
        assert http.get(f"/issues/{made['id']}.json").json()["issue"]["subject"] == "VPN"


def test_a_missing_program_says_how_to_install_it(tmp_path: Path) -> None:
    """The message is a command that can be pasted."""
    with pytest.raises(ConfigurationInvalid, match="apt-get install --no-install-recommends a b"):
        require(tmp_path / "none", name="Some desk", packages=("a", "b"))


def test_a_half_made_system_is_made_anew(tmp_path: Path) -> None:
    """Killed while its database was made, the folder does not pass for a finished one."""
    folder = tmp_path / "system"

    def killed() -> None:
        (folder / "database").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(folder, killed)
    once(folder, lambda: (folder / "database").touch(exist_ok=False))
    once(folder, lambda: pytest.fail("made twice"))
