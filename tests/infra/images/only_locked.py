"""Imports modules as the image would: what its lock does not hold is not there. `only_locked.py LOCK NAME...`"""

import importlib
import importlib.abc
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType


def locked(lock: Path) -> set[str]:
    return {name.lower() for name in re.findall(r"^([A-Za-z0-9_.-]+)==", lock.read_text("utf-8"), re.MULTILINE)}


class Gate(importlib.abc.MetaPathFinder):
    """Namespaces that several packages fill are let through: their parts are looked for like any other's."""

    def __init__(self, held: set[str]) -> None:
        self.makers = {
            top: {re.sub(r"[-_.]+", "-", name).lower() for name in names}
            for top, names in packages_distributions().items()
        }
        self.held = held

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        makers = self.makers.get(fullname, set())
        if makers and not makers & self.held:
            raise ModuleNotFoundError(f"No module named '{fullname}': {sorted(makers)} not in the lock", name=fullname)
        return None


def main() -> None:
    held = locked(Path(sys.argv[1])) | {
        "pointsman",
        "torch",
    }  # torch: installed by itself, in the trainer's image alone
    if "trainer" not in sys.argv[1]:
        held.discard("torch")
    sys.meta_path.insert(0, Gate(held))
    for name in sys.argv[2:]:
        if name == "kserve, slim":
            from services.router.slim import import_slim

            import_slim()
        else:
            importlib.import_module(name)


if __name__ == "__main__":
    main()
