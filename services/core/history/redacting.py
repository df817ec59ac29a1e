"""
Redaction of many rows, in order, in two processes when there are many: nothing unredacted goes further than here.

A worker ends with its parent, also when that is killed: `concurrent.futures` alone would leave it waiting for ever.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from multiprocessing.connection import wait

from services.core.history.rows import BadRow, Row
from services.core.kit.errors import Unavailable
from services.core.text.redact import Redacted, Redactor, build_redactor

IN_PROCESS_ROWS = 400  # below it the second process's start (model load, 2-3 s) costs more than it saves
BATCHES_AHEAD = 2  # per process: keeps them busy while one batch is being stored

Batch = Sequence[Row | BadRow]
Redaction = Callable[[Iterable[Batch]], Iterator[Batch]]


@contextmanager
def redaction(rows: int, processes: int) -> Generator[Redaction]:
    """
    A function that redacts batches lazily and keeps their order.

    Raises:
        Unavailable: a process died (out of memory?); what was stored before is safe.
    """
    if processes < 2 or rows < IN_PROCESS_ROWS:
        yield lambda batches: map(redact_batch, batches)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_prepare_worker) as pool:
        try:
            yield lambda batches: _in_order(pool, batches, ahead=processes * BATCHES_AHEAD)
        except BrokenProcessPool as exc:
            raise Unavailable(
                "A redaction process ended unexpectedly (out of memory?). Run the command again with --processes 1; "
                "it goes on where it stopped."
            ) from exc
        finally:
            pool.shutdown(cancel_futures=True)


def redact_batch(batch: Batch) -> Batch:
    """The batch, redacted; bad rows as they are. What was hidden is forgotten: no vault is kept."""
    rows = [row for row in batch if isinstance(row, Row)]
    safe = iter(_redactor().redact_many([{"subject": row.subject, "body": row.body} for row in rows]))
    return [_safe_row(row, next(safe)) if isinstance(row, Row) else row for row in batch]


def _safe_row(row: Row, safe: Redacted) -> Row:
    return replace(row, subject=safe.fields["subject"], body=safe.fields["body"], requester=None)


def _in_order(pool: ProcessPoolExecutor, batches: Iterable[Batch], *, ahead: int) -> Iterator[Batch]:
    waiting: deque[Future[Batch]] = deque()
    for batch in batches:
        waiting.append(pool.submit(redact_batch, batch))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@cache
def _redactor() -> Redactor:
    """One per process: it takes a second and 130 MB to load."""
    return build_redactor()


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
