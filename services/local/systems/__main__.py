"""Runs one ticketing system as a child of the platform: `python -m services.local.systems rt`, until SIGTERM."""

import signal
import sys
from pathlib import Path

import psutil

from services.core.kit.errors import PointsmanError
from services.core.kit.settings import read_settings
from services.local.home import Home, LocalSettings
from services.local.processes import stop_process
from services.local.systems.beside import SYSTEMS
from services.local.systems.program import Program


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        program = SYSTEMS[sys.argv[1]](Home(read_settings(LocalSettings))).make()
        run(program)
    except PointsmanError as exc:
        sys.exit(f"{sys.argv[1]}: {exc}")


def run(program: Program) -> None:
    """Until it ends, or this process is told to; one that a killed predecessor left behind is ended first."""
    pid_file = program.folder / "pid"
    stop_process(_left(pid_file, program))
    try:
        program.start()
        assert program.process is not None
        pid_file.write_text(str(program.process.pid), "utf-8")
        program.process.wait()
    finally:
        program.stop()


def _left(pid_file: Path, program: Program) -> psutil.Process | None:
    try:
        process = psutil.Process(int(pid_file.read_text("utf-8")))
        return process if program.command[0] in process.cmdline() else None
    except (OSError, ValueError, psutil.Error):
        return None


if __name__ == "__main__":
    main()
