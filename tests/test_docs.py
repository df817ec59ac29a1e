"""The documentation is checked like code: what it names exists, and what operators must know is in it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from services.cli.__main__ import app
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.prediction import Band
from services.core.contracts.ticket import Priority
from tests.golden import check_golden

ROOT = Path(__file__).parents[1]
ADR = ROOT / "design" / "adr"
DOCUMENTS = [ROOT / "README.md", ROOT / "k8s/README.md", *sorted((ROOT / "design").rglob("*.md"))]
DECISIONS = sorted(ADR.glob("[0-9]*.md"))

HEADINGS = ("Problem", "Drivers", "Options", "Outcome", "Consequences", "Confirmation")  # and Evidence, where it fits
# Several small choices in one record, each with its reason in place.
WITHOUT_OPTIONS = {"0042-calls-to-language-models.md"}
INDEX_HEAD = """# Decisions

One page each, in MADR order: problem, drivers, options, outcome, consequences, confirmation. A decision that no longer
holds is superseded by a new one, never rewritten. Numbers are given out in ranges, so there are gaps. `make golden`
writes this list.

| decision | what was decided |
|---|---|
"""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"(?:services|tests|infra|design|k8s|cost|locks|strategy)/[\w./-]+")
COMMAND = re.compile(r"(?<![\w./-])(make|pointsman)((?: +[^\s|;&)#]+)*)")
MODULE = re.compile(r"python -m ([\w.]+)")
OWASP = re.compile(r"^\| (LLM\d\d) \|", re.MULTILINE)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code_of(text: str) -> Iterator[str]:
    """What stands as code: lines of fenced blocks but diagrams, and code spans outside of them."""
    for language, block in FENCE.findall(text):
        if language != "mermaid":
            yield from block.splitlines()
    yield from SPAN.findall(FENCE.sub("", text))


def everywhere(pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """(document, what matched) for all code in all documents."""
    for path in DOCUMENTS:
        for code in code_of(path.read_text("utf-8")):
            yield from ((named(path), found.group(0)) for found in pattern.finditer(code))


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def problem_with(command: str) -> str | None:
    """Why a `make ...` or `pointsman ...` line cannot be typed; None when it can."""
    program, *words = command.replace("[", "").replace("]", "").split()
    if program == "make":
        targets = [word for word in words if re.fullmatch(r"[a-z][\w-]*", word)]
        unknown = [target for target in targets[:1] if target not in make_targets()]
        return f"the Makefile has no target {unknown[0]}" if unknown else None
    return problem_with_pointsman(words)


def problem_with_pointsman(words: list[str]) -> str | None:
    found: Any = typer.main.get_command(app)
    while words and hasattr(found, "commands") and re.fullmatch(r"[a-z][\w-]*", words[0]):
        if words[0] not in found.commands:
            return f"there is no command {words[0]}"
        found, words = found.commands[words[0]], words[1:]
    options = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    asked = {word.partition("=")[0] for word in words if word.startswith("--") and len(word) > 2}
    unknown = sorted(asked - options - {"--help"})
    return f"{found.name} has no option {unknown[0]}" if unknown else None


def exists_in_tests(name: str) -> bool:
    """A file or a function of the tests by its bare name."""
    if name.endswith(".py"):
        return any((ROOT / "tests").rglob(name))
    return any(f"def {name}(" in file.read_text("utf-8") for file in (ROOT / "tests").rglob("*.py"))


def test_commands_named_in_the_documentation_exist() -> None:
    """Every `make x` and `pointsman x`, with its options."""
    wrong = [
        f"{document}: `{command}`: {problem}"
        for document, command in everywhere(COMMAND)
        if (problem := problem_with(command)) is not None
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("make tset", "no target tset"),
        ("pointsman dead-letters lsit", "no command lsit"),
        ("pointsman audit verify --fast", "no option --fast"),
    ],
)
def test_a_misspelt_command_is_found(command: str, problem: str) -> None:
    """The check itself can fail."""
    assert problem in (problem_with(command) or "")


def test_relative_links_lead_somewhere() -> None:
    """To a file that exists, and to a heading of it where one is named."""
    wrong = []
    for path in DOCUMENTS:
        for target in LINK.findall(FENCE.sub("", path.read_text("utf-8"))):
            if "://" in target or target.startswith("mailto:"):
                continue
            file, _, anchor = target.partition("#")
            to = (path.parent / file).resolve() if file else path
            if not to.exists() or (anchor and anchor not in anchors(to)):
                wrong.append(f"{named(path)}: {target}")
    assert wrong == []


def anchors(path: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_paths_and_modules_named_in_the_documentation_exist() -> None:
    """`services/...`, `tests/...` and `python -m ...`; patterns with `*` or `{` are left out."""
    wrong = [
        f"{named(path)}: {found}"
        for path in DOCUMENTS
        for code in code_of(path.read_text("utf-8"))
        if not set("*{<") & set(code)
        for found in PATH.findall(code)
        if not (ROOT / found.rstrip("./")).exists()
    ]
    wrong += [
        f"{document}: {found}"
        for document, found in everywhere(MODULE)
        if found.split()[-1].startswith(("services", "tests", "infra", "k8s", "cost"))
        and not module_exists(found.split()[-1])
    ]
    assert wrong == []


def module_exists(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or path.is_dir()


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name[:4])
def test_a_decision_has_its_parts_in_order_and_a_confirmation_that_exists(path: Path) -> None:
    """MADR, and a test or command that proves it."""
    text = path.read_text("utf-8")
    headings = re.findall(r"^## (.+)$", FENCE.sub("", text), re.MULTILINE)
    wanted = [name for name in HEADINGS if name not in ("Drivers", "Options") or path.name not in WITHOUT_OPTIONS]
    assert [name for name in headings if name != "Evidence"] == wanted
    confirmation = text.rpartition("## Confirmation\n")[2]
    words = [*code_of(confirmation), *re.findall(r"[\w./]+\w", confirmation)]
    assert any(confirms(word) for word in words), f"names no test and no command: {confirmation}"


def confirms(word: str) -> bool:
    """Whether this names a test file, a test, or a command that can be run."""
    if re.match(r"(make|pointsman) ", word):
        return problem_with(word) is None
    if found := MODULE.search(word):
        return module_exists(found.group(1))
    if word.startswith("tests/"):
        return (ROOT / word).exists()
    return bool(re.fullmatch(r"test_\w+(\.py)?|conformance\.py", word)) and exists_in_tests(word)


def test_golden_index_of_decisions() -> None:
    """Every decision is in the list, with its title."""
    rows = []
    for path in DECISIONS:
        title = path.read_text("utf-8").partition("\n")[0].lstrip("# ").strip()
        number, bare = path.name[:4], re.sub(r"^\d{4} ", "", title)
        rows.append(f"| [{number}]({path.name}) | {bare} |")
    check_golden(ADR / "README.md", INDEX_HEAD + "\n".join(rows))


def glossary() -> list[str]:
    rows = re.findall(
        r"^\| ([^|]+) \| [^|]+ \| [^|]+ \|$", (ROOT / "design/glossary.md").read_text("utf-8"), re.MULTILINE
    )
    return [row for row in rows if row != "term"]


def test_the_glossary_is_sorted_and_knows_every_word_that_users_meet() -> None:
    """Bands, delivery kinds, states of tickets and letters; each word once."""
    terms = glossary()
    assert terms == sorted(set(terms), key=str.lower)
    spine = (ROOT / "services/core/kit/migrations/spine_tables.sql").read_text("utf-8")
    states = re.findall(r"check \(state in \(([^)]+)\)", spine)
    words = {word.strip(" '") for group in states for word in group.split(",")} - {
        "open",
        "accepted",
        "corrected",
        "dead",
    }
    assert {*Band, *DeliveryKind, *words} <= set(terms)


def test_the_glossary_names_every_priority() -> None:
    """The four words, in the line of `priority`."""
    line = next(
        line for line in (ROOT / "design/glossary.md").read_text("utf-8").splitlines() if line.startswith("| priority ")
    )
    assert all(priority in line for priority in Priority)


def calls(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(name of the called function, its first argument) where that is a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(first := node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if isinstance(first.value, str):
                yield name, first.value


def said_by_the_code(functions: set[str]) -> set[str]:
    files = (file for file in (ROOT / "services").rglob("*.py") if "zendesk_double" not in file.parts)
    return {text for file in files for name, text in calls(ast.parse(file.read_text("utf-8"))) if name in functions}


def test_every_metric_is_described_and_none_is_invented() -> None:
    """Names in the code and in design/operations.md are the same."""
    in_code = {name for name in said_by_the_code({"Counter", "Gauge", "Histogram"}) if name.startswith("pointsman_")}
    text = (ROOT / "design/operations.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(pointsman_\w+)` \|", text, re.MULTILINE)) == in_code


def test_every_warning_and_error_is_explained() -> None:
    """Someone is woken up by these: design/operations.md says what to do."""
    event = re.compile(r"[a-z_]+\.[a-z_]+\.[a-z_]+")
    in_code = {text for text in said_by_the_code({"warning", "error"}) if event.fullmatch(text)}
    text = (ROOT / "design/operations.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([a-z_.]+)` \| (?:error|warning) \|", text, re.MULTILINE)) == in_code


def test_every_table_is_in_the_data_model() -> None:
    """The list of design/architecture.md and the migrations agree."""
    folder = ROOT / "services/core/kit/migrations"
    in_sql = {
        name
        for file in folder.rglob("*.*")
        if file.suffix in (".sql", ".py")
        for name in re.findall(r"create table ([\w.]+)", file.read_text("utf-8"))
    }
    rows = re.findall(r"^\| (`[^|]+`) \|", (ROOT / "design/architecture.md").read_text("utf-8"), re.MULTILINE)
    assert in_sql <= {name for row in rows for name in SPAN.findall(row)}


def test_settings_named_in_the_documentation_exist() -> None:
    """`POINTSMAN_...` is a field of a settings class, or a variable of the tests, the Makefile or the compose file."""
    known = {f"POINTSMAN_{name.upper()}" for name in annotated_names()}
    elsewhere = "".join(
        file.read_text("utf-8")
        for file in map(
            ROOT.joinpath, ("Makefile", "docker-compose.yml", "tests/conftest.py", "services/local/install.py")
        )
    )
    wrong = [
        f"{document}: {found}"
        for document, found in everywhere(re.compile(r"\bPOINTSMAN_\w+"))
        if found.partition("__")[0] not in known and found not in elsewhere and not is_superseded(document)
    ]
    assert wrong == []


def is_superseded(document: str) -> bool:
    """A decision that another replaced stays as it was written."""
    return "\nSuperseded by [" in (ROOT / document).read_text("utf-8")


def annotated_names() -> Iterator[str]:
    """Fields of all classes of the tree: settings are among them."""
    for file in (ROOT / "services").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield node.target.id


def test_owasps_ten_risks_are_answered() -> None:
    """LLM01 to LLM10, each once, in order."""
    text = (ROOT / "design/security.md").read_text("utf-8")
    assert OWASP.findall(text) == [f"LLM{number:02}" for number in range(1, 11)]


def test_every_promise_of_the_security_page_names_the_tests_that_hold_it() -> None:
    """Each row of its two tables of threats names at least one, and each named test exists."""
    text = (ROOT / "design/security.md").read_text("utf-8")
    rows = re.findall(r"^\| (?:\d|all|LLM\d+) \| .*$", text, re.MULTILINE)
    assert len(rows) >= 22
    assert [row[:60] for row in rows if "::test_" not in row] == []
    named = re.findall(r"`(tests/[\w/]+\.py)((?:::\w+)?)`", text)
    missing = [f"{path}{name}" for path, name in named if not holds_test(ROOT / path, name.removeprefix("::"))]
    assert missing == []


def holds_test(file: Path, name: str) -> bool:
    definition = re.compile(rf"^ *(?:async )?def {name}\(", re.MULTILINE)
    return file.exists() and definition.search(file.read_text("utf-8")) is not None


def test_make_golden_writes_every_golden_file() -> None:
    """A test that says `make golden`, and is not run by it, sends people in a circle."""
    line = next(line for line in (ROOT / "Makefile").read_text("utf-8").splitlines() if "POINTSMAN_GOLDEN=1" in line)
    written = [ROOT / word for word in line.split() if word.startswith("tests/")]
    asking = [file for file in (ROOT / "tests").rglob("test_*.py") if "check_golden(" in file.read_text("utf-8")]
    forgotten = [str(file.relative_to(ROOT)) for file in asking if not {file, *file.parents} & set(written)]
    assert forgotten == []
