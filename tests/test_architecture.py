"""The rules of the house, as a lint: who may import whom, who may read the environment, what importing may do."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTAINERS = ("gateway", "router", "worker", "rag", "trainer", "migrator")
# Inside core each room may use those before it; text and connectors stand side by side.
CORE_ORDER = {
    "contracts": 0,
    "kit": 1,
    "text": 2,
    "connectors": 2,
    "bus": 2,
    "models": 3,
    "drift": 3,
    "history": 3,
    "llm": 4,
    "search": 4,
    "answer": 5,
}
ENVIRONMENT_READERS = {"services/local/home.py", "services/cli/train.py"}
MODULE_LINES_MAX = 400


def modules() -> Iterator[Path]:
    yield from sorted((ROOT / "services").rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def room(module: str) -> tuple[str, str]:
    """('core', 'kit') of services.core.kit.errors; ('worker', '') of services.worker.steps."""
    parts = [*module.split("."), "", ""]
    return (parts[1], parts[2]) if parts[1] == "core" else (parts[1], "")


def own(path: Path) -> tuple[str, str]:
    return room(".".join(path.relative_to(ROOT).with_suffix("").parts))


def forbidden(path: Path, imported: str) -> str | None:
    if not imported.startswith("services."):
        return None
    (here, here_core), (there, there_core) = own(path), room(imported)
    if here in CONTAINERS and there in CONTAINERS and here != there:
        return "containers never import each other"
    if here in CONTAINERS and there in ("local", "cli"):
        return "only local and cli start containers"
    if here == "core" and there != "core":
        return "core knows none of the containers"
    if here == there == "core" and here_core != there_core and there_core in CORE_ORDER:
        is_backward = CORE_ORDER[there_core] >= CORE_ORDER[here_core]
        return "inside core the flow is forward only" if is_backward else None
    if here == "local" and there == "cli":
        return "the command line uses local, not the other way round"
    return None


def test_imports_keep_the_rules() -> None:
    """Path = import, forward only."""
    broken = [
        f"{path.relative_to(ROOT)} imports {imported}: {why}"
        for path in modules()
        for imported in imports(path)
        if (why := forbidden(path, imported))
    ]
    assert broken == []


def test_nothing_imports_in_a_circle() -> None:
    """Two files that need each other are one, or lack a third. What is imported on demand does not count."""
    from graphlib import CycleError, TopologicalSorter

    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in modules()}
    needs = {
        name: {other for other in needed(path) if other in paths and other != name} for name, path in paths.items()
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as exc:
        pytest.fail(" needs ".join(reversed(exc.args[1])))


def needed(path: Path) -> Iterator[str]:
    """What a module imports when it is imported itself."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_the_environment_is_read_in_settings_only() -> None:
    """`os.environ` elsewhere is a setting nobody can find."""
    readers = {
        str(path.relative_to(ROOT))
        for path in modules()
        if "os.environ" in path.read_text("utf-8") or "os.getenv" in path.read_text("utf-8")
    }
    assert readers <= ENVIRONMENT_READERS


def test_every_folder_of_modules_is_a_package() -> None:
    """Without its line it imports here, from the checkout, and is left out of what is installed."""
    folders = {
        path.parent for room in ("services", "tests", "infra", "k8s", "cost") for path in (ROOT / room).rglob("*.py")
    }
    ours = {folder for folder in folders if "stacks" not in folder.parts and "migrations" not in folder.parts}
    assert sorted(str(folder) for folder in ours if not (folder / "__init__.py").exists()) == []


def test_no_module_hides_a_second_idea() -> None:
    """At 400 lines there is one."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in modules()
        if (lines := len(path.read_text("utf-8").splitlines())) > MODULE_LINES_MAX
    }
    assert long == {}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        (
            "services.gateway.app",
            ("torch", "transformers", "spacy", "onnxruntime", "sklearn", "dbos", "boto3", "openai"),
        ),
        ("services.worker.workflows", ("torch", "transformers", "sklearn", "onnxruntime", "openai", "google.genai")),
        ("services.cli.__main__", ("torch", "transformers", "spacy", "pulumi", "onnxruntime", "dbos", "sqlalchemy")),
    ],
)
def test_importing_costs_no_memory_of_other_containers(module: str, unwanted: tuple[str, ...]) -> None:
    """Heavy libraries are imported where they are used, so that an idle container stays small."""
    code = f"import sys, {module}; print([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_schemas_revisions_form_one_line() -> None:
    """Each file is named by its number and follows the one before: two that took the same number show."""
    files = sorted((ROOT / "services/core/kit/migrations/versions").glob("[0-9]*.py"))
    told = []
    for file in files:
        values = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in ast.parse(file.read_text("utf-8")).body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and "revision" in node.targets[0].id
        }
        told.append((file.name[:4], values["revision"], values["down_revision"]))
    numbers = [f"{number:04}" for number in range(1, len(files) + 1)]
    assert told == [(n, n, before) for n, before in zip(numbers, [None, *numbers], strict=False)]
