"""
`python -m infra.images.wheels` (make lock): asks the index whether each locked package of an image is there as a wheel
for every processor that images are built for, and writes down which are. Without one no image can be built for it.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.images.build import MACHINES, ROOT
from infra.images.unpack import made_for
from k8s.workloads.containers import IMAGES
from services.core.kit.errors import PointsmanError

KNOWN = ROOT / "locks" / "wheels.txt"
PIN = re.compile(r"^([a-z0-9_.-]+==[^ ;\\]+)(?: *; *([^\\]+?))? *\\$", re.MULTILINE)


def main() -> None:
    wanted = pins()
    try:
        for machine, _ in MACHINES.values():
            ask(machine, wanted)
    except PointsmanError as exc:
        sys.exit(f"wheels: {exc}")
    KNOWN.write_text("".join(f"{pin}\n" for pin in wanted), "utf-8")


def pins() -> list[str]:
    """What the images' locks hold, of whichever Python; markers are pip's business when it installs."""
    texts = [(ROOT / "locks" / f"{image}.txt").read_text("utf-8") for image in IMAGES]
    return sorted({found[1] for text in texts for found in PIN.finditer(text) if not _is_for_newer(found[2] or "")})


def _is_for_newer(marker: str) -> bool:
    """Locked for a Python that no image has."""
    return "python_full_version >=" in marker


def ask(machine: str, wanted: list[str]) -> None:
    """
    Raises:
        PointsmanError: one has no such wheel; pip's own words name it.
    """
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "wanted.txt"
        listed.write_text("\n".join(wanted), "utf-8")
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps",
            *made_for(machine), "--target", folder, "-r", str(listed),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise PointsmanError(f"No image for {machine}: {done.stderr.strip()[-600:]}")


if __name__ == "__main__":
    main()
