"""What another maker's scanner says of objects, recipes and pipelines: nothing but what .checkov.yaml excuses."""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / ".checkov.yaml"
SCANNED = ("k8s/rendered", "infra/images", ".github/workflows")
BAD = """
apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: pointsman}
spec: {hostNetwork: true, containers: [{name: bad, image: bad:latest, securityContext: {privileged: true}}]}
"""


@pytest.fixture(scope="module")
def checkov() -> str:
    """It pins what we do not, so it lives in an environment of its own; `make scan` makes it."""
    made = ROOT / "build" / "checkov" / "bin" / "checkov"
    if not made.exists():
        pytest.skip("checkov is not there: make scan")
    return str(made)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What is scanned and nothing else: no environment, no build."""
    for part in SCANNED:
        shutil.copytree(ROOT / part, tmp_path / part)
    return tmp_path


def scan(checkov: str, tree: Path, config: Path) -> list[dict[str, Any]]:
    command = [checkov, "--config-file", str(config), "-d", str(tree), "-o", "json"]
    clean = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=clean, cwd=tree
    )  # reads .checkov.yaml
    assert done.stdout.strip(), done.stderr[-2000:]
    found = json.loads(done.stdout)
    return found if isinstance(found, list) else [found]


def failed(reports: list[dict[str, Any]]) -> Counter[str]:
    return Counter(one["check_id"] for report in reports for one in report["results"]["failed_checks"])


def test_nothing_fails_but_what_is_excused(checkov: str, tree: Path) -> None:
    """Every overlay is read; a file that the scanner cannot read would be no finding."""
    reports = scan(checkov, tree, CONFIG)
    assert failed(reports) == Counter()
    summaries = {one["check_type"]: one["summary"] for one in reports}
    assert set(summaries) == {"kubernetes", "dockerfile", "github_actions"}
    assert sum(one["parsing_errors"] for one in summaries.values()) == 0
    assert summaries["kubernetes"]["resource_count"] > 250


def test_what_is_excused_would_fail_and_a_bad_pod_does(checkov: str, tree: Path, tmp_path: Path) -> None:
    """An excuse that nobody needs any more hides the next mistake."""
    told = yaml.safe_load(CONFIG.read_text())
    excused = told.pop("skip-check")
    bare = tmp_path / "bare.yaml"
    bare.write_text(yaml.safe_dump(told))
    (tree / "k8s" / "rendered" / "bad.yaml").write_text(BAD)
    reports = scan(checkov, tree, bare)
    assert set(excused) <= set(failed(reports))
    ours = {one["check_id"] for report in reports for one in report["results"]["failed_checks"]} - set(excused)
    assert {"CKV_K8S_16", "CKV_K8S_19"} <= ours  # privileged, the host's network
