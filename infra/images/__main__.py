"""`python -m infra.images` (make images): build, start, measure. See --help."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.images.build import MACHINES, ROOT, Built, Order, build
from infra.images.engine import Engine, engine
from infra.images.trial import Seen, Trial
from k8s.workloads.containers import IMAGES
from services.core.kit.errors import PointsmanError


def main() -> None:
    asked = _parse()
    try:
        with tempfile.TemporaryDirectory(prefix="pointsman-images-", dir=asked.work) as folder:
            Path(folder).chmod(0o755)  # PostgreSQL's own user must reach its part
            builder = engine(asked.store or Path(folder) / "store", asked.engine)
            try:
                problems = _run(asked, builder, Path(folder))
            finally:
                builder.close()
    except PointsmanError as exc:
        sys.exit(f"images: {exc}")
    sys.exit("images: " + "; ".join(problems) if problems else 0)


def _run(asked: argparse.Namespace, builder: Engine, work: Path) -> list[str]:
    if asked.images:
        _show([], Trial(builder, json.loads(asked.images.read_text("utf-8")), work, asked.tickets).run())
        return []
    order = Order(asked.platform, asked.epoch, asked.mount, asked.base, asked.builder)
    names = asked.only or IMAGES
    made = build(builder, names, order, work)
    problems = [one.problem for one in made if one.problem]
    if asked.twice:
        again = {one.name: one.image for one in build(builder, names, order, work)}
        problems += [f"{one.name} came out different the second time" for one in made if again[one.name] != one.image]
    seen = Trial(builder, {one.name: one.image for one in made}, work, asked.tickets).run() if asked.start else {}
    _show(made, seen)
    references = {one.name: _pushed(builder, one, asked) if asked.push and not problems else one.image for one in made}
    if asked.out:
        asked.out.write_text(json.dumps(references, indent=2) + "\n", "utf-8")
    return problems


def _pushed(builder: Engine, one: Built, asked: argparse.Namespace) -> str:
    """As a cluster is told of it: by the registry's digest."""
    name = f"{asked.push.rstrip('/')}/{one.name}"
    return f"{name}@{builder.push(one.image, f'{name}:{asked.epoch}')}"


def _show(made: list[Built], seen: dict[str, Seen]) -> None:
    if made:
        _say(f"{'image':<10} {'MB above base':>13}   digest")
    for one in made:
        _say(f"{one.name:<10} {one.size_mb:>13.0f}   {one.image.rpartition('@')[2]}")
    if seen:
        _say(f"\n{'container':<10} {'answers after s':>15} {'idle MiB':>9} {'at most MiB':>12}")
    for name, what in seen.items():
        _say(f"{name:<10} {what.ready_s:>15.1f} {what.idle_mib:>9.0f} {what.peak_mib:>12.0f}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.images", description=__doc__)
    parser.add_argument("--only", action="append", choices=IMAGES, help="this image alone; may be repeated")
    parser.add_argument("--platform", choices=MACHINES, default="linux/amd64")
    parser.add_argument("--engine", choices=("buildah", "docker"), default="", help="default: whichever is there")
    parser.add_argument("--base", default="", help="NAME@sha256:... instead of one made here from Debian's packages")
    parser.add_argument("--builder", default="", help="the same for the one with pip")
    parser.add_argument("--epoch", type=int, default=_committed(), help="SOURCE_DATE_EPOCH; default: the last commit's")
    parser.add_argument("--mount", action="append", default=[], help="HERE[:THERE], which pip needs in the build")
    parser.add_argument("--store", type=Path, help="where buildah keeps images; default: removed at the end")
    parser.add_argument("--work", type=Path, help="where temporary files go; default: the system's place")
    parser.add_argument("--out", type=Path, help="write images.json")
    parser.add_argument("--push", default="", help="REGISTRY: when all went well, push there; --out then names those")
    parser.add_argument("--images", type=Path, help="start those of this images.json and build nothing")
    parser.add_argument("--twice", action="store_true", help="build twice and compare the digests")
    parser.add_argument("--tickets", type=int, default=200, help="how many are sent before memory is read again")
    parser.add_argument("--no-start", dest="start", action="store_false", help="build and measure only")
    asked = parser.parse_args()
    if any("@sha256:" not in name for name in (asked.base, asked.builder) if name):
        parser.error("--base and --builder need a digest: NAME@sha256:...")
    if asked.only and asked.start and "worker" not in asked.only:
        parser.error("starting needs the worker's image, which holds the migrator: add --only worker, or --no-start")
    return asked


def _committed() -> int:
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], capture_output=True, text=True, cwd=ROOT)
    return int(os.environ.get("SOURCE_DATE_EPOCH") or done.stdout or 0)


def _say(line: str) -> None:
    print(line)  # noqa: T201, sizes and times are what it is run for


if __name__ == "__main__":
    main()
