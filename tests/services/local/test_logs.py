"""Log files that end."""

import subprocess
import sys
import time
from pathlib import Path

from services.local.logs import rotate

MAX_BYTES = 50_000
PATIENCE_S = 60.0
CHATTER = "import sys\nfor n in range(40_000): sys.stderr.write(f'line {n:05} of a process that talks\\n')"


def test_a_process_that_talks_for_ever_fills_two_files_at_most(tmp_path: Path) -> None:
    """It keeps its file open and goes on writing after each cut; nothing but its own lines is in it."""
    log = tmp_path / "gateway.log"
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "-c", CHATTER], stderr=out)
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        rotate([log, tmp_path / "missing.log"], MAX_BYTES)
    rotate([log], MAX_BYTES)
    assert process.wait(PATIENCE_S) == 0
    assert log.stat().st_size <= MAX_BYTES
    assert sorted(file.name for file in tmp_path.iterdir()) == ["gateway.log", "gateway.log.1"]
    assert b"\0" not in (tmp_path / "gateway.log.1").read_bytes()


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("one line\n")
    rotate([log], MAX_BYTES)
    assert log.read_text() == "one line\n"
