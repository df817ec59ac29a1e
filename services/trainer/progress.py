"""Long work as people see it on standard error: a bar per stage, or a line per tenth where nothing can be redrawn."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from services.trainer.config import Progress


@contextmanager
def bars() -> Generator[Progress]:
    """A `Progress` that draws; a stage that starts again starts its bar again."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    if not Console(stderr=True).is_terminal:
        yield _lines()
        return
    columns = TextColumn("{task.description:<9}"), BarColumn(), TextColumn("{task.fields[detail]}"), TimeElapsedColumn()
    with Bars(*columns, console=Console(stderr=True)) as shown:
        tasks: dict[str, Any] = {}

        def show(stage: str, fraction: float, detail: str) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage, total=1.0, detail=detail)
            shown.update(tasks[stage], completed=fraction, detail=detail)

        yield show


def _lines() -> Progress:
    shown: dict[str, int] = {}

    def show(stage: str, fraction: float, detail: str) -> None:
        tenth = int(fraction * 10)
        if shown.get(stage, -1) < tenth:
            shown[stage] = tenth
            sys.stderr.write(f"{stage} {tenth * 10} %: {detail}\n")
            sys.stderr.flush()

    return show
