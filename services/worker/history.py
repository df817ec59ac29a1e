"""
Closed tickets out of a file into a running platform: `python -m services.worker.history --map group=team < closed.csv`.

For whoever may start a process in the worker's container (`kubectl exec -i`), from where no other machine reaches the
database. It runs with the worker's own rights and redacts by its rules; the file is gone from the pod when it ends.
"""

import argparse
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from obstore.exceptions import BaseError

from services.core.history.importing import Job, Outcome, import_rows
from services.core.history.redacting import Batch, redact_batch
from services.core.history.rows import BadRow, open_export
from services.core.kit.errors import InputInvalid, NotFound, PointsmanError, Unavailable
from services.core.kit.objects import open_store
from services.core.kit.schema import connected
from services.worker.settings import WorkerSettings

ADVICE = "Run it again: it goes on where it was."
FILE_MAX_BYTES = 900_000_000  # a pod's /tmp holds 1 GiB
CHUNK_BYTES = 1_048_576
SHOWN_BAD_ROWS = 10


def main() -> None:
    asked = _parse()
    try:
        outcome = bring_in(WorkerSettings.read(), asked.object, asked.map, asked.source)
    except PointsmanError as exc:
        sys.exit(f"history: {exc}")
    _say(f"{outcome.rows_stored} stored, {outcome.rows_bad} bad, {outcome.rows_without_group} without a group.")
    sys.exit(1 if outcome.rows_read and not outcome.rows_stored else 0)


def bring_in(settings: WorkerSettings, name: str, columns: str, source: str) -> Outcome:
    """
    Raises:
        InputInvalid: no ticket file, or too large a one. NotFound: the store holds no such object.
        DatabaseUnavailable: no answer, or not migrated. ConfigurationInvalid: another company's database.
    """
    with _brought(settings, name) as file, connected(settings, advice=ADVICE) as conn:
        export = open_export(file, columns)
        for line in export.notes:
            _say(line)
        job = Job(source or Path(name).name.split(".")[0] or "history", export.fingerprint, export.total)
        return import_rows(conn, job, export.rows, lambda batches: map(redact_batch, batches), _Told(job))


class _Told:
    """A line for each batch that is stored, and for the first rows that are not."""

    def __init__(self, job: Job) -> None:
        self._total, self._read, self._bad = job.total, 0, 0

    def __call__(self, batch: Batch) -> None:
        self._read += len(batch)
        for row in (row for row in batch if isinstance(row, BadRow)):
            self._bad += 1
            if self._bad <= SHOWN_BAD_ROWS:
                _say(f"line {row.line}: {row.why}")
        _say(f"{self._read} of {self._total}")


@contextmanager
def _brought(settings: WorkerSettings, name: str) -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="history-") as folder:
        file = Path(folder) / (Path(name).name or "history")
        with file.open("wb") as out:
            _copy(_fetched(settings, name) if name else iter(partial(sys.stdin.buffer.read, CHUNK_BYTES), b""), out)
        yield file


def _fetched(settings: WorkerSettings, name: str) -> Iterator[bytes]:
    try:
        yield from map(bytes, open_store(settings.objects_url).get(name).stream(min_chunk_size=CHUNK_BYTES))
    except FileNotFoundError as exc:
        raise NotFound(f"{settings.objects_url} holds no {name}. Upload it there first.") from exc
    except ValueError as exc:
        raise InputInvalid(f"{name} names no object: {exc}. Write it as imports/closed.csv.") from exc
    except (OSError, BaseError) as exc:
        raise Unavailable(f"{settings.objects_url} does not give {name} ({type(exc).__name__}).") from exc


def _copy(chunks: Iterable[bytes], out: IO[bytes]) -> None:
    """Up to what the pod's own folder holds: more would have the pod thrown out, tickets and all."""
    left = FILE_MAX_BYTES
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise InputInvalid(f"It is over {FILE_MAX_BYTES:,} bytes. Send it compressed (.gz) or in parts.")
        out.write(chunk)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.worker.history", description=__doc__)
    parser.add_argument("--map", default="", help="field=column,... where the guess is wrong: group=team")
    parser.add_argument("--source", default="", help="where they are from; the same with one id is replaced")
    parser.add_argument("--object", default="", help="instead of standard input: its name in the documents' bucket")
    return parser.parse_args()


if __name__ == "__main__":
    main()
