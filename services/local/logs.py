"""Log files that end: what a container or PostgreSQL writes on the laptop never fills the disk."""

import shutil
from collections.abc import Iterable
from pathlib import Path

MAX_BYTES = 10_000_000  # a day of the demo is some 100 KB; with the one before, 20 MB for each process


def rotate(files: Iterable[Path], max_bytes: int = MAX_BYTES) -> None:
    """
    Moves what a file holds beyond `max_bytes` into FILE.1, replacing the one before.

    Copied and cut, because its process keeps it open, for appending: lines written in between are lost.
    """
    for file in files:
        if file.exists() and file.stat().st_size > max_bytes:
            shutil.copyfile(file, file.with_name(f"{file.name}.1"))
            with file.open("r+b") as log:
                log.truncate()
