"""install.py on a small project of its own: a real virtual environment, real pip, no network."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "services/local/install.py"
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "pointsman"
version = "0.1.0"
"""
BACKEND = """
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    info = "pointsman-0.1.0.dist-info"
    with zipfile.ZipFile(f"{folder}/pointsman-0.1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: pointsman\\nVersion: 0.1.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return "pointsman-0.1.0-py3-none-any.whl"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with a lock that locks nothing, in which nothing is installed yet."""
    root = tmp_path / "checkout"
    (root / "services/local").mkdir(parents=True)
    shutil.copy(SCRIPT, root / "services/local/install.py")
    (root / "locks").mkdir()
    (root / "locks/run.lock").write_text("# nothing\n")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    return root


def install(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(project / "services/local/install.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def install_as(project: Path, disguise: str) -> subprocess.CompletedProcess[str]:
    """The script under an interpreter that has been changed beforehand."""
    script = str(project / "services/local/install.py")
    run = f"sys.argv = [{script!r}, 'run']; runpy.run_path({script!r}, run_name='__main__')"
    code = f"import runpy, sys; {disguise}; {run}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("arguments", [(), ("rum",), ("run", "test")])
def test_a_name_without_a_lock_is_wrong_usage(project: Path, arguments: tuple[str, ...]) -> None:
    """Exit 2 and the names there are."""
    done = install(project, *arguments)
    assert done.returncode == 2
    assert done.stdout.strip().endswith(" run")


def test_another_python_is_refused_with_those_that_do(project: Path) -> None:
    """Exit 1, and nothing was made."""
    done = install_as(project, "sys.version_info = (3, 14, 1, 'final', 0)")
    assert done.returncode == 1
    assert "Python 3.14.1 is not supported. Install 3.11, 3.12 or 3.13" in done.stderr
    assert not (project / ".venv").exists()


def test_a_python_without_ensurepip_is_told_which_package_brings_it(project: Path) -> None:
    """Debian's python3 without python3-venv: exit 1 and the package, no traceback."""
    done = install_as(project, "import importlib.util as u; find = u.find_spec; "
                      "u.find_spec = lambda name: None if name == 'ensurepip' else find(name)")  # fmt: skip
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_set_is_installed_once_and_again_when_its_lock_changes(project: Path) -> None:
    """The second run does nothing; a changed lock and a broken environment are both mended."""
    first = install(project, "run")
    assert (first.returncode, "Making" in first.stderr) == (0, True), first.stderr
    pip = [str(project / ".venv/bin/python"), "-m", "pip", "list"]
    assert "pointsman" in subprocess.run(pip, capture_output=True, text=True, check=True).stdout

    assert install(project, "run").stderr == ""

    (project / "locks/run.lock").write_text("# still nothing\n")
    changed = install(project, "run")
    assert (changed.returncode, "Making" in changed.stderr) == (0, False)
    assert "Installing locked packages" in changed.stderr

    (project / ".venv/bin/python").unlink()
    mended = install(project, "run")
    assert (mended.returncode, "Making" in mended.stderr) == (0, True)


def test_what_pip_cannot_install_is_no_installed_set(project: Path) -> None:
    """Exit 1 and what to check; the next run tries again."""
    (project / "locks/run.lock").write_text("/nowhere/absent-1.0-py3-none-any.whl --hash=sha256:" + "0" * 64 + "\n")
    for _ in range(2):
        done = install(project, "run")
        assert done.returncode == 1
        assert "Installing locked packages failed" in done.stderr
