"""Builds the base from Debian's signed packages and each container's image on it; what they add is bounded."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.images.engine import Engine, Recipe
from services.core.kit.errors import PointsmanError

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
SUITE = "bookworm"  # Debian 12: Python 3.11, glibc 2.36
PACKAGES = ("python3.11", "ca-certificates", "tzdata", "libstdc++6", "libgomp1")
# The builder's, beside those: pip, and a strip for each processor, whichever this one is.
TOOLS = ("python3-pip-whl", "binutils", "binutils-x86-64-linux-gnu", "binutils-aarch64-linux-gnu")
TORCH = "torch==2.13.0"  # installed by itself, as services/local/install.py does
# MB above the base. The first three are promises; rag and trainer are what they took, and some room.
SIZE_MAX_MB = {"gateway": 250, "router": 350, "worker": 500, "rag": 500}
MACHINES = {"linux/amd64": ("x86_64", "amd64"), "linux/arm64": ("aarch64", "arm64")}  # pip's word, Debian's


@dataclass(frozen=True)
class Order:
    """How to build: `base` and `builder` are references with a digest, or empty, and then made here."""

    platform: str
    epoch: int
    mounts: Sequence[str] = ()
    base: str = ""
    builder: str = ""


@dataclass(frozen=True)
class Built:
    name: str
    image: str
    size_mb: float  # above the base

    @property
    def problem(self) -> str:
        most = SIZE_MAX_MB.get(self.name)
        return f"{self.name} is {self.size_mb:.0f} MB above its base; {most} are allowed" if self.is_large else ""

    @property
    def is_large(self) -> bool:
        return self.size_mb > SIZE_MAX_MB.get(self.name, float("inf"))


def build(engine: Engine, names: Sequence[str], order: Order, work: Path) -> list[Built]:
    base = order.base or make_base(engine, order, work, "pointsman-base", PACKAGES)
    builder = order.builder or make_base(engine, order, work, "pointsman-builder", (*PACKAGES, *TOOLS))
    bare = engine.size_bytes(base)
    found = [(name, build_one(engine, name, order, base, builder)) for name in names]
    return [Built(name, image, (engine.size_bytes(image) - bare) / 1e6) for name, image in found]


def build_one(engine: Engine, name: str, order: Order, base: str, builder: str) -> str:
    arguments = {
        "BASE": base,
        "BUILDER": builder,
        "CONTAINER": name,
        "MACHINE": MACHINES[order.platform][0],
        "TORCH": TORCH if name == "trainer" else "",
    }
    tag = f"localhost/pointsman-{name}-{MACHINES[order.platform][1]}"
    return engine.build(
        Recipe(HERE / "Dockerfile", ROOT, tag, arguments, order.platform, order.epoch, tuple(order.mounts))
    )


def make_base(engine: Engine, order: Order, work: Path, name: str, packages: Sequence[str]) -> str:
    """The builder runs here, so it is of this machine's own processor; the base is of the wanted one."""
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    processor = MACHINES[order.platform][1] if name == "pointsman-base" else _own_processor()
    command = [
        "mmdebstrap", "--quiet", "--variant=extract", f"--architectures={processor}", f"--include={','.join(packages)}",
        f'--extract-hook=sh {HERE / "base.sh"} "$1"', "--format=tar", SUITE, str(folder / "root.tar"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=_at(order.epoch))
    if done.returncode != 0:
        raise PointsmanError(f"mmdebstrap failed:\n{done.stderr[-1500:]}\nIt needs root and Debian's mirrors.")
    recipe = Recipe(
        HERE / "base.Dockerfile", folder, f"localhost/{name}-{processor}", {}, f"linux/{processor}", order.epoch
    )
    return engine.build(recipe)


def _own_processor() -> str:
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()


def _at(epoch: int) -> dict[str, Any]:
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH": str(epoch)}
