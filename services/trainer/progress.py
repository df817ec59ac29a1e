"""Long work as people see it: one bar per stage on standard error."""

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

    columns = TextColumn("{task.description:<9}"), BarColumn(), TextColumn("{task.fields[detail]}"), TimeElapsedColumn()
    with Bars(*columns, console=Console(stderr=True)) as shown:
        tasks: dict[str, Any] = {}

        def show(stage: str, fraction: float, detail: str) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage, total=1.0, detail=detail)
            shown.update(tasks[stage], completed=fraction, detail=detail)

        yield show
