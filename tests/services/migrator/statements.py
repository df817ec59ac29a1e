"""The SQL that a module holds, found without running it: constants, what they are built from, words in functions."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
SQL = re.compile(r"\s*(with|select|insert into|update|delete from)\s", re.IGNORECASE)
PARAMETER = re.compile(r"%(\([a-z_0-9]+\))?s")


def statements(folder: str) -> Iterator[tuple[str, str]]:
    """(module, statement) with `null` where values go."""
    path = ROOT / folder
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        if name.endswith("__main__"):
            continue
        found = {*_texts(vars(importlib.import_module(name))), *_in_functions(file)}
        yield from ((name, PARAMETER.sub("null", one).replace("%%", "%")) for one in sorted(found) if SQL.match(one))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in [v for k, v in value.items() if not str(k).startswith("__")]:
            yield from _texts(one)
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from _texts(one)


def _in_functions(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for part in ast.walk(node):
                if (
                    isinstance(part, ast.Constant)
                    and isinstance(part.value, str)
                    and part.value != ast.get_docstring(node)
                ):
                    yield part.value
