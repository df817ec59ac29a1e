"""
Makes .venv and installs a locked set into it: `python3 services/local/install.py run|test|all`.

Runs on a bare Python before anything is installed, so it uses the standard library only. It can be killed and
started again at any time: a set counts as installed only when its stamp, written last, names the lock's hash.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"  # the Makefile's BIN
LOCKS = ROOT / "locks"
TORCH = "torch==2.13.0"  # installed by itself: pip then takes a CPU wheel where one is at hand
FREE_BYTES_NEEDED = 4 * 1024**3  # torch, transformers and the rest unpacked, measured 2026-11
SUPPORTED = ((3, 11), (3, 13))


def main() -> int:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    lock = LOCKS / f"{name}.lock"
    if not lock.exists():
        print(f"usage: python3 {sys.argv[0]} {'|'.join(sorted(path.stem for path in LOCKS.glob('*.lock')))}")
        return 2
    stamp, wanted = VENV / f".installed-{name}", _wanted(lock)
    if stamp.exists() and stamp.read_text() == wanted and _python().exists():
        return 0
    problem = _check_machine() or _install(lock)
    if problem:
        print(f"pointsman: {problem}", file=sys.stderr)
        return 1
    stamp.write_text(wanted)
    return 0


def _wanted(lock: Path) -> str:
    content = lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + sys.version.encode()
    return hashlib.sha256(content).hexdigest()


def _check_machine() -> str | None:
    if not SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        found = ".".join(map(str, sys.version_info[:3]))
        return f"Python {found} is not supported. Install 3.11, 3.12 or 3.13, then: make run PYTHON=python3.12"
    if importlib.util.find_spec("ensurepip") is None and not _python().exists():
        return "This Python cannot make environments (no ensurepip). Run: apt-get install python3-venv (Debian, Ubuntu)"
    free = shutil.disk_usage(ROOT).free
    if free < FREE_BYTES_NEEDED and not _python().exists():
        return f"{free / 1e9:.1f} GB free under {ROOT}; {FREE_BYTES_NEEDED / 1e9:.1f} GB are needed. Free some space."
    return None


def _install(lock: Path) -> str | None:
    if not _is_usable():
        print(f"Making {VENV}", file=sys.stderr)
        try:
            venv.create(VENV, with_pip=True, clear=True)
        except (OSError, subprocess.CalledProcessError) as exc:
            return f"{VENV} could not be made ({exc}). Check `df -h .` and that `{sys.executable} -m ensurepip` runs."
    steps = [
        ("Installing locked packages", ["--no-deps", "--require-hashes", "-r", str(lock)]),
        ("Installing pointsman", ["--no-deps", "--no-build-isolation", "-e", str(ROOT)]),
    ]
    if "transformers==" in lock.read_text("utf-8") and not _has_torch():
        steps.insert(0, (f"Installing {TORCH} (the largest download)", [TORCH]))
    for what, arguments in steps:
        print(f"{what} ...", file=sys.stderr, flush=True)
        done = subprocess.run([str(_python()), "-m", "pip", "install", "--quiet", "--progress-bar=on", *arguments])
        if done.returncode != 0:
            return (
                f"{what} failed (pip's message is above). No network or a full disk are the usual causes: check "
                "`pip download six` and `df -h .`, then run the same command again; it goes on where it stopped."
            )
    return None


def _python() -> Path:
    return VENV / "bin" / "python"


def _is_usable() -> bool:
    """False for a missing environment, a half-made one, and one of another Python."""
    if not _python().exists():
        return False
    check = f"import sys, pip; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    return subprocess.run([str(_python()), "-c", check], stderr=subprocess.DEVNULL).returncode == 0


def _has_torch() -> bool:
    wanted = TORCH.partition("==")[2]
    check = f"import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '{wanted}')"
    return subprocess.run([str(_python()), "-c", check], stderr=subprocess.DEVNULL).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
