"""buildah or docker, whichever is there: build, look at, and start an image with nothing writable but what is given."""

import json
import os
import shutil
import subprocess
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from k8s.workloads.containers import USER
from services.core.kit.errors import ConfigurationInvalid, PointsmanError

ENDS_S = 30


@dataclass(frozen=True)
class Recipe:
    """What is built and from which context; `mounts` (HERE or HERE:THERE) are read-only and for the build alone."""

    file: Path
    context: Path
    tag: str
    arguments: Mapping[str, str]
    platform: str
    epoch: int  # SOURCE_DATE_EPOCH: the date of everything inside
    mounts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """`volumes`: folder here -> folder inside, writable."""

    image: str
    command: Sequence[str]
    environment: Mapping[str, str]
    volumes: Mapping[Path, str]


class Engine(Protocol):
    def build(self, recipe: Recipe) -> str:
        """The image by its digest, as a FROM line takes it."""
        ...

    def size_bytes(self, image: str) -> int: ...

    def push(self, image: str, target: str) -> str:
        """The digest that the registry gave it; `target` is REGISTRY/NAME:TAG, logged in to before."""
        ...

    @contextmanager
    def started(self, start: Start, log: Path) -> Generator[subprocess.Popen]:
        """A process as the numeric user, with a read-only root; removed after the block."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Buildah:
    """
    Needs no daemon. `store` keeps its images apart; chroot isolation has no read-only roots, so the container's root is
    mounted over itself read-only before anything is started in it.
    """

    store: Path

    def build(self, recipe: Recipe) -> str:
        given = [part for name, value in recipe.arguments.items() for part in ("--build-arg", f"{name}={value}")]
        mounts = [part for mount in recipe.mounts for part in ("--volume", _mounted(mount))]
        self._run(
            "bud", "--isolation", "chroot", "--quiet", "--timestamp", str(recipe.epoch), "--platform", recipe.platform,
            *given, *mounts, "--tag", recipe.tag, "--file", str(recipe.file), str(recipe.context),
        )  # fmt: skip
        digest = self._run("inspect", "--type", "image", "--format", "{{.FromImageDigest}}", recipe.tag)
        return f"{recipe.tag}@{digest}"

    def size_bytes(self, image: str) -> int:
        name, digest = image.split("@")
        found = json.loads(self._run("images", "--digests", "--json"))
        return next(
            _bytes(one["size"]) for one in found if one["digest"] == digest and f"{name}:latest" in one["names"]
        )

    def push(self, image: str, target: str) -> str:
        file = self.store / "pushed"
        self._run("push", "--quiet", "--digestfile", str(file), image, f"docker://{target}")
        return file.read_text("utf-8").strip()

    @contextmanager
    def started(self, start: Start, log: Path) -> Generator[subprocess.Popen]:
        if os.geteuid() != 0:
            raise ConfigurationInvalid("Starting images with buildah mounts their roots, which needs root: use sudo.")
        container = self._run("from", "--pull-never", start.image)
        root = self._run("mount", container)
        _mountpoints(Path(root), start.volumes.values())
        subprocess.run(["mount", "--bind", root, root], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", root], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "run", f"{root}/run"], check=True)  # buildah's own
        given = [part for name, value in start.environment.items() for part in ("--env", f"{name}={value}")]
        volumes = [part for here, there in start.volumes.items() for part in ("--volume", f"{here}:{there}")]
        command = self._command("run", "--isolation", "chroot", "--user", f"{USER}:{USER}", *given, *volumes, container)
        try:
            with log.open("wb") as out:
                popen = subprocess.Popen([*command, "--", *start.command], stdout=out, stderr=out)
                with _ended(popen):
                    yield popen
        finally:
            subprocess.run(["umount", "--lazy", "--recursive", root], check=False)
            self._run("rm", container)

    def close(self) -> None:
        """So that a temporary store can be removed: the overlays' folder is mounted over itself."""
        subprocess.run(["umount", "--lazy", str(self.store / "storage" / "overlay")], stderr=subprocess.DEVNULL)

    def _run(self, *arguments: str) -> str:
        return _run(self._command(*arguments))

    def _command(self, *arguments: str) -> list[str]:
        places = ("--root", str(self.store / "storage"), "--runroot", str(self.store / "run"))
        return ["buildah", "--storage-driver", "overlay", *places, *arguments]


@dataclass(frozen=True)
class Docker:
    """An image has a digest only in a registry, so here FROM gets its id."""

    def build(self, recipe: Recipe) -> str:
        given = [part for name, value in recipe.arguments.items() for part in ("--build-arg", f"{name}={value}")]
        if recipe.mounts:
            raise ConfigurationInvalid("docker mounts no folder into a build: leave --mount, or install buildah.")
        _run(
            ["docker", "build", "--quiet", "--platform", recipe.platform, *given,
             "--build-arg", f"SOURCE_DATE_EPOCH={recipe.epoch}", "--tag", recipe.tag, "--file", str(recipe.file),
             str(recipe.context)]
        )  # fmt: skip
        return _run(["docker", "image", "inspect", "--format", "{{.Id}}", recipe.tag])

    def size_bytes(self, image: str) -> int:
        return int(_run(["docker", "image", "inspect", "--format", "{{.Size}}", image]))

    def push(self, image: str, target: str) -> str:
        _run(["docker", "tag", image, target])
        _run(["docker", "push", "--quiet", target])
        told = _run(["docker", "image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', target])
        name = target.rpartition(":")[0]
        return next(line.rpartition("@")[2] for line in told.splitlines() if line.startswith(f"{name}@"))

    @contextmanager
    def started(self, start: Start, log: Path) -> Generator[subprocess.Popen]:
        given = [part for name, value in start.environment.items() for part in ("--env", f"{name}={value}")]
        volumes = [part for here, there in start.volumes.items() for part in ("--volume", f"{here}:{there}")]
        command = ["docker", "run", "--rm", "--network", "host", "--read-only", "--user", f"{USER}:{USER}"]
        with log.open("wb") as out:
            popen = subprocess.Popen([*command, *given, *volumes, start.image, *start.command], stdout=out, stderr=out)
            with _ended(popen):
                yield popen

    def close(self) -> None:
        """Docker keeps its images itself."""


def engine(store: Path, wanted: str = "") -> Engine:
    """
    Raises:
        ConfigurationInvalid: neither program is installed.
    """
    found = wanted or next((name for name in ("buildah", "docker") if shutil.which(name)), "")
    if found == "buildah":
        return Buildah(store)
    if found == "docker":
        return Docker()
    raise ConfigurationInvalid("Images need buildah or docker: apt-get install buildah mmdebstrap (Debian, Ubuntu).")


@contextmanager
def _ended(popen: subprocess.Popen) -> Generator[None]:
    """Nothing that was started is left after the block: the engine's own end does not end its container."""
    try:
        yield
    finally:
        family = psutil.Process(popen.pid).children(recursive=True) if popen.poll() is None else []
        for process in reversed(family):
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, stubborn = psutil.wait_procs(family, timeout=ENDS_S)
        for process in stubborn:
            process.kill()
        with suppress(subprocess.TimeoutExpired):
            popen.wait(ENDS_S)


def _mountpoints(root: Path, volumes: Iterable[str]) -> None:
    """A cluster's runtime makes them before it shuts the root; buildah wants to afterwards."""
    for folder in volumes:
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)


def _mounted(mount: str) -> str:
    here, _, there = mount.partition(":")
    return f"{here}:{there or here}:ro"


def _bytes(said: str) -> int:
    number, unit = said.split()
    return round(float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit.upper()])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-15:])
        raise PointsmanError(f"`{' '.join(command[:6])} ...` failed with exit code {done.returncode}:\n{tail}")
    return done.stdout.strip()
