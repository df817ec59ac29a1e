"""What the parts of one piece of work took."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Stages:
    """`ms` by name, in the order in which they began; one that comes twice adds up. `began` is told each beginning."""

    def __init__(self, began: Callable[[str], None] = lambda name: None) -> None:
        self.ms: dict[str, float] = {}
        self._began = began

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        begun = time.perf_counter()
        self.ms.setdefault(name, 0.0)
        self._began(name)
        try:
            yield
        finally:
            self.ms[name] = round(self.ms[name] + (time.perf_counter() - begun) * 1000, 1)
