"""What a container's code can reach: its own modules, and the packages that these import."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

# Imported inside a function that this container never calls: kit/database.migrate is the migrator's, and
# kit/workflows.configure the worker's.
NEVER_CALLED = {"gateway": {"alembic", "dbos", "sqlalchemy"}, "rag": {"alembic", "dbos", "sqlalchemy"}}
BUILDERS = ("client_file",)  # `make contracts`, on a developer's machine
ROOT = Path(__file__).parents[2]


def reachable(container: str) -> dict[str, Path]:
    """Our modules, from what can be started in the container on; those that are imported only inside functions too."""
    found: dict[str, Path] = {}
    waiting = sorted(started(container))
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if file is None or name in found:
            continue
        found[name] = file
        for imported in _imports(file):
            parts = imported.split(".")
            waiting += [".".join(parts[:n]) for n in range(1, len(parts) + 1) if parts[0] == "services"]
    return found


def started(container: str) -> list[str]:
    """`python -m` of these: the container itself, and what an operator starts beside it (keys, history)."""
    files = (ROOT / "services" / container).glob("*.py")
    found = [file.stem for file in files if '__name__ == "__main__"' in file.read_text("utf-8")]
    return [f"services.{container}.{name}" for name in found if name not in BUILDERS]


def third_party(container: str) -> dict[str, set[str]]:
    """Top-level name of what does not belong to us or to Python -> our modules that import it."""
    found = defaultdict(set)
    for name, file in reachable(container).items():
        for imported in _imports(file):
            top = imported.partition(".")[0]
            if top != "services" and top not in sys.stdlib_module_names:
                found[top].add(name)
    return found


def _file(name: str) -> Path | None:
    path = ROOT / name.replace(".", "/")
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.exists()), None)


def _imports(file: Path) -> Iterator[str]:
    for node in _nodes(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All but what only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _nodes(node)
