"""
Puts a container's locked packages into /app/packages, for MACHINE, without what no process reads: tests, headers, the
sources and symbols of extensions, programs. Runs in the builder, which has Python, pip's wheel and strip.
"""

import compileall
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from py_compile import PycInvalidationMode

PACKAGES = Path("/app/packages")
GLIBC = (5, 12, 17, 24, 26, 27, 28, 31, 34, 35)  # minor versions that wheels are made for; the base has 2.36
TESTS = {"tests", "test", "include"}
UNREAD = ("phonenumbers/geodata", "phonenumbers/carrierdata", "pyarrow/*flight*", "pyarrow/*s3*", "bin")
SOURCES = {".pyx", ".pxd", ".pyi", ".h", ".hpp", ".c", ".cpp"}  # not .cu: thinc reads its own when it is imported


def main() -> None:
    container, machine, torch = (os.environ.get(name, "") for name in ("CONTAINER", "MACHINE", "TORCH"))
    only = made_for(machine)
    install("--no-deps", "--require-hashes", *only, "-r", f"/locks/{container}.txt")
    if torch:
        install(*only, torch)
    trim(PACKAGES)
    strip(PACKAGES, machine)
    name_ourselves(Path("/pyproject.toml"), PACKAGES)
    # By content, so that two builds are the same. What a newer Python would need stays as text: nobody imports it here.
    compileall.compile_dir(PACKAGES, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)


def made_for(machine: str) -> list[str]:
    """As wheels of that processor alone, whichever this one is: nothing is compiled here, nor emulated."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC] + [f"manylinux2014_{machine}"]
    return ["--only-binary=:all:", "--python-version", "3.11", *(f"--platform={name}" for name in platforms)]


def install(*arguments: str) -> None:
    (pip,) = Path("/usr/share/python-wheels").glob("pip-*.whl")
    command = [sys.executable, f"{pip}/pip", "install", "--quiet", "--no-compile", "--no-cache-dir"]
    subprocess.run([*command, "--target", str(PACKAGES), *arguments], check=True)


def name_ourselves(project: Path, packages: Path) -> None:
    """Our own version, where Python looks for it: /health tells it."""
    found = tomllib.loads(project.read_text("utf-8"))["project"]
    folder = packages / f"{found['name']}-{found['version']}.dist-info"
    folder.mkdir()
    text = f"Metadata-Version: 2.1\nName: {found['name']}\nVersion: {found['version']}\n"
    (folder / "METADATA").write_text(text, "utf-8")


def trim(root: Path) -> None:
    for folder in [path for path in root.rglob("*") if path.is_dir() and path.name in TESTS]:
        shutil.rmtree(folder, ignore_errors=True)
    for file in [path for path in root.rglob("*") if path.suffix in SOURCES]:
        file.unlink()
    for path in [path for pattern in UNREAD for path in root.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def strip(root: Path, machine: str) -> None:
    """
    Symbols are half of what extensions weigh (spaCy: 126 MB, 29 without). Left as they are: libraries that auditwheel
    has rearranged, which strip breaks.
    """
    mended = {folder.name.removesuffix(".libs").lower() for folder in root.glob("*.libs")}
    mended |= {name.replace("_binary", "") for name in mended} | {f"{name}.libs" for name in mended}
    files = [file for file in root.rglob("*.so*") if file.relative_to(root).parts[0].lower() not in mended]
    subprocess.run([f"/usr/bin/{machine}-linux-gnu-strip", "--strip-unneeded", *map(str, files)], check=True)


if __name__ == "__main__":
    main()
