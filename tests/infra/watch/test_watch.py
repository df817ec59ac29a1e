"""Alerts and dashboards: they ask for what the code tells, fire on what they are for, and each alert has its page."""

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from infra.watch.dashboards import DASHBOARDS, HERE, dashboard, text
from tests.golden import check_golden

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "infra/watch/alerts.yaml"
TESTS = sorted(ALERTS.parent.glob("alerts_*test.yaml"))
RUNBOOKS = ROOT / "design/runbooks"
PARTS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
OTHERS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}  # Prometheus' own and its client's
SUFFIXES = {"Counter": {""}, "Gauge": {""}, "Histogram": {"_bucket", "_sum", "_count"}}
WORDS = re.compile(r"[a-z_:][a-z0-9_:]*", re.IGNORECASE)
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="apt-get install prometheus brings promtool"
)


def alerts() -> dict[str, dict]:
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def told() -> dict[str, set[str]]:
    """Series that the code tells -> the labels that they have."""
    found = {}
    for file in (ROOT / "services").rglob("metrics.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SUFFIXES:
                name = ast.literal_eval(node.args[0])
                labels = set(ast.literal_eval(node.args[2])) if len(node.args) > 2 else set()
                found |= {name + suffix: labels for suffix in SUFFIXES[node.func.id]}
    return found


def questions() -> Iterator[tuple[str, str]]:
    yield from ((f"alert {name}", rule["expr"]) for name, rule in alerts().items())
    for name in DASHBOARDS:
        for panel in dashboard(name)["panels"]:
            yield from ((f"{name}: {panel['title']}", target["expr"]) for target in panel["targets"])


def asked(expression: str) -> set[str]:
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", "", expression)
    return {word for word in WORDS.findall(bare) if word.startswith("pointsman_") or word in OTHERS}


@pytest.mark.parametrize(("where", "expression"), list(questions()), ids=lambda value: value[:40])
def test_what_is_asked_for_is_told_by_the_code(where: str, expression: str) -> None:
    """A metric renamed in the code leaves no alert behind that can never fire; its labels too."""
    metrics = told()
    assert asked(expression), where
    assert asked(expression) - OTHERS <= set(metrics)
    for name, chosen in re.findall(r"(pointsman_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)=", chosen)) <= metrics[name]
    grouped = {label for found in re.findall(r"by \(([^)]*)\)", expression) for label in found.split(", ")}
    known = set().union(*(metrics.get(name, set()) for name in asked(expression))) | {"le", "job", "instance"}
    assert grouped <= known


def test_a_misspelt_metric_is_found() -> None:
    """The check itself can fail."""
    assert asked('sum by (band) (rate(pointsman_decisons_total{band="x"}[5m]))') == {"pointsman_decisons_total"}
    assert "pointsman_decisons_total" not in told()


def test_outcomes_named_in_alerts_exist() -> None:
    """An outcome is the name of an error class, or of what became of a delivery."""
    named = {word for rule in alerts().values() for found in re.findall(r'outcome=~?"([^"]+)"', rule["expr"])
             for word in found.split("|")}  # fmt: skip
    errors = (ROOT / "services/core/kit/errors.py").read_text("utf-8")
    assert all(f"class {word}(" in errors for word in named - {"corrected", "accepted"})


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    """Meaning, impact, diagnosis, mitigation: someone new can act at night."""
    pages = {page.stem: page.read_text("utf-8") for page in RUNBOOKS.glob("[A-Z]*.md") if page.stem != "README"}
    assert set(pages) == set(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"design/runbooks/{name}.md"
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert re.findall(r"^## (.+)$", pages[name], re.MULTILINE) == PARTS
        assert "```sh\n" in pages[name]


def test_every_alert_is_tested() -> None:
    """Each name stands in the rules' own tests."""
    tested = "".join(file.read_text("utf-8") for file in TESTS)
    assert [name for name in alerts() if name not in tested] == []


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_alerts_fire_when_they_must_and_not_otherwise() -> None:
    """Prometheus' own unit tests, over made-up hours and days."""
    done = subprocess.run(
        ["promtool", "test", "rules", *map(str, TESTS)], capture_output=True, text=True, timeout=600, cwd=ALERTS.parent
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", DASHBOARDS)
def test_golden_dashboards(name: str) -> None:
    """The JSON beside the description is what it describes."""
    check_golden(HERE / f"{name}.json", text(name))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_stand_beside_each_other(name: str) -> None:
    """No two in one place, none beyond Grafana's 24 columns."""
    places = [panel["gridPos"] for panel in dashboard(name)["panels"]]
    assert len({(place["x"], place["y"]) for place in places}) == len(places)
    assert all(place["x"] + place["w"] <= 24 for place in places)


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_training_is_overdue_when_it_can_no_longer_end(cloud: str) -> None:
    """A week, the day in which a missed start is caught up, and the job's own end; and not a second week."""
    text = (ROOT / f"k8s/rendered/{cloud}-prod/trainer.yaml").read_text("utf-8")
    jobs = {one["metadata"]["name"]: one for one in yaml.safe_load_all(text) if one["kind"] == "CronJob"}
    job = jobs["trainer"]
    last_s = (
        7 * DAY_S + job["spec"]["startingDeadlineSeconds"] + job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    )
    rules = yaml.safe_load((ROOT / "infra/watch/alerts.yaml").read_text("utf-8"))["groups"]
    (rule,) = [rule for group in rules for rule in group["rules"] if rule["alert"] == "TrainingOverdue"]
    assert last_s < int(rule["expr"].rpartition(">")[2]) < last_s + DAY_S


DAY_S = 86_400
