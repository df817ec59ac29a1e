"""What the parts of one piece of work took."""

import time
from collections.abc import Generator
from contextlib import contextmanager


class Stages:
    """`ms` by name, in the order in which they began; one that comes twice adds up."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        begun = time.perf_counter()
        self.ms.setdefault(name, 0.0)
        try:
            yield
        finally:
            self.ms[name] = round(self.ms[name] + (time.perf_counter() - begun) * 1000, 1)
