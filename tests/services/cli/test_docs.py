"""`pointsman docs index`: what it refuses before it opens anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.gateway.served import PATIENCE_S


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--base-url", "javascript:alert(1)//"], "is no web address"),
        (["--base-url", "data:text/html,x"], "is no web address"),
        (["--base-url", "https://"], "is no web address"),
        (["--base-url", "//help.example.com"], "is no web address"),
        (["--acl", ""], "the one word everyone"),
        (["--acl", "hr,everyone"], "the one word everyone"),
    ],
)
def test_unclear_rights_and_addresses_that_run_are_refused(tmp_path: Path, options: list[str], told: str) -> None:
    """Answers link to the address; an empty list of groups is a variable that was not set."""
    command = [sys.executable, "-m", "services.cli", "docs", "index", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode != 0
    assert told in " ".join(done.stderr.split())


def test_the_encoder_goes_where_the_address_says_and_no_database_is_started(tmp_path: Path) -> None:
    """Before, a deployment's address alone was passed over in silence and this machine's own store was filled."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("POINTSMAN_")}
    given |= {"POINTSMAN_HOME": str(tmp_path / "home"), "POINTSMAN_OBJECTS_URL": "ftp://models.example.com"}
    command = [sys.executable, "-m", "services.cli", "docs", "encoder"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, "has the scheme 'ftp'" in " ".join(done.stderr.split())) == (1, True), done.stderr
    assert not (tmp_path / "home").exists()
