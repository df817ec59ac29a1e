"""The rendered objects of each overlay as files that people read; `make golden` writes them."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from k8s.pages import pages, platform_pages
from k8s.reach import where, whom
from k8s.workloads.pods import Rollout
from tests.golden import check_golden, filled, is_golden_run
from tests.k8s.conftest import OVERLAYS, Rendered

K8S = Path(__file__).parents[2] / "k8s"
REVIEWED = [stack for stack in OVERLAYS if stack[1] != "dev"]  # dev is prod with smaller machines


@pytest.mark.parametrize("stack", REVIEWED, ids="-".join)
def test_golden_files_of_an_overlay(
    stack: tuple[str, str], rendered: Rendered, rollouts: dict[tuple[str, str], Rollout]
) -> None:
    """Every object in one file, and no file of an object that is gone."""
    mine = pages(rendered[stack])
    folder, found = K8S / "rendered" / "-".join(stack), platform_pages(rollouts[stack].contract) | mine
    left = {file.name for file in folder.glob("*")} - set(found)
    for name in left if is_golden_run() else ():
        (folder / name).unlink()
    for name, text in found.items():
        check_golden(folder / name, text)
    assert left == set() or is_golden_run()
    assert sum(len(list(yaml.safe_load_all(text))) for text in mine.values()) == len(rendered[stack])


def test_golden_page_of_who_reaches_what(rollouts: dict[tuple[str, str], Rollout]) -> None:
    """Both tables come from the rules that are rendered."""
    places = {stack: where(rollouts[stack].contract) for stack in REVIEWED}
    rows = [[target, *(places[stack][target] for stack in REVIEWED)] for target in places[REVIEWED[0]]]
    page = K8S / "README.md"
    blocks = {
        "reach": _table(["container", "may reach", "why"], whom()),
        "targets": _table(["target", *("-".join(stack) for stack in REVIEWED)], rows),
    }
    check_golden(page, filled(page, blocks))


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])
