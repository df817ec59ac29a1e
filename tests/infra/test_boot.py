"""
The boot script run for real in a chroot: bash and coreutils as they are, stubs for the network, systemd and k3s.

Killed before each of its commands and run again, it ends as if nothing had happened. The chroot is made of this
machine's own programs, so it needs root (or user namespaces) and no download.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.node import boot_script

PROGRAMS = ("bash", "cat", "chmod", "cmp", "cp", "cut", "dd", "echo", "env", "grep", "head", "mkdir", "mv", "rm", "sed")
PROGRAMS += ("seq", "sha256sum", "sort", "tail", "tee", "touch", "tr", "true", "uname")
VALUES = {"deploy_url": "s3://deploy", "registry": "ghcr.io/acme", "address_id": "eipalloc-1", "region": "us-east-1"}
TLS = """apiVersion: v1
items:
- data:
    tls.key: c2VjcmV0
  metadata:
    namespace: pointsman
    uid: 1
kind: List
"""

# Downloads come from /web, and fail as often as /web/failures has lines.
CURL = """
while [ $# -gt 0 ]; do case "$1" in -o) file="$2"; shift ;; http*) url="$1" ;; esac; shift; done
echo "curl $url" >> /log
case "$url" in */latest/*) echo i-1; exit 0 ;; esac
if [ -s /web/failures ]; then sed -i 1d /web/failures; printf half > "$file"; exit 22; fi
cat "/web/${url##*/}" > "$file"
"""
# A bucket is the folder /bucket; while /bucket/down exists it does not answer.
AWS = """
echo "aws $*" >> /log
[ "$1 $2" = "s3 cp" ] || exit 0
[ ! -e /bucket/down ] || { echo "could not connect" >&2; exit 1; }
from="${@: -2:1}"; to="${@: -1}"
case "$from" in s3://deploy/*) from="/bucket/${from##*/}" ;; esac
[ -e "$from" ] || { echo "fatal error: (404) Not Found" >&2; exit 1; }
case "$to" in s3://deploy/*) to="/bucket/${to##*/}" ;; esac
cat "$from" > "$to"
"""
# k3s that remembers what was applied; its certificates are those of /cluster/tls.yaml and what came back.
K3S = """
echo "k3s $*" >> /log
case "$*" in
  "kubectl get secrets"*) [ -e /cluster/tls.yaml ] && cat /cluster/tls.yaml || echo "items: []" ;;
  "kubectl apply -f certificates.yaml.new") cat certificates.yaml.new > /cluster/tls.yaml ;;
  "kubectl apply -f -") cat > /dev/null ;;
  *"--dry-run=server -f "*) ! grep -q BAD "${@: -1}" || { echo "error: no matches for kind BAD" >&2; exit 1; } ;;
esac
"""
LOG = 'echo "${0##*/} $*" >> /log'


@dataclass(frozen=True)
class Machine:
    root: Path

    def run(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*_chroot(self.root), "/bin/bash", "-c", command],
            env={"PATH": "/usr/local/bin:/bin", "HOME": "/"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def boot(self) -> None:
        self.run("bash /boot.sh")

    def text(self, path: str) -> str:
        return (self.root / path).read_text()

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def has(self, path: str) -> bool:
        return (self.root / path).exists()

    def log(self) -> list[str]:
        return self.text("log").splitlines() if self.has("log") else []

    def files(self) -> dict[str, str]:
        """What the script is there to leave behind."""
        places = [self.root / p for p in ("etc", "opt", "usr/local/bin/k3s", "swapfile", "run")]
        found = [f for p in places for f in (p.rglob("*") if p.is_dir() else [p])]
        return {str(f.relative_to(self.root)): f"{f.stat().st_mode:o} {_digest(f)}" for f in found if f.is_file()}


def _digest(file: Path) -> str:
    return f"{file.stat().st_size} {hash(file.read_bytes())}"


def _chroot(root: Path) -> list[str]:
    chroot = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin") or "chroot"
    return [chroot, str(root)] if os.geteuid() == 0 else ["/usr/bin/unshare", "--map-root-user", chroot, str(root)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This machine's shell and its libraries, and the stubs."""
    root = tmp_path_factory.mktemp("machine")
    for name in PROGRAMS:
        program = shutil.which(name, path="/usr/bin:/bin")
        if program:  # echo and true are builtins too
            _copy(Path(program), root)
    for name, body in {"curl": CURL, "aws": AWS, "snap": LOG, "systemctl": LOG, "swapon": LOG, "mkswap": LOG}.items():
        _program(root / "bin" / name, body)
    for folder in ("dev", "run", "cluster", "bucket", "tmp", "etc/systemd/system"):
        (root / folder).mkdir(parents=True)
    (root / "dev" / "zero").write_bytes(b"0" * 4096)
    (root / "dev" / "null").touch()
    _program(root / "web" / "k3s", K3S)
    shutil.copy(root / "web" / "k3s", root / "web" / "k3s-arm64")
    for arch, asset in (("amd64", "k3s"), ("arm64", "k3s-arm64")):
        total = subprocess.run(["sha256sum", asset], cwd=root / "web", capture_output=True, text=True, check=True)
        (root / "web" / f"sha256sum-{arch}.txt").write_text(total.stdout)
    if subprocess.run([*_chroot(root), "/bin/bash", "-c", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no chroot here: run as root, or allow user namespaces")
    return root


def _copy(program: Path, root: Path) -> None:
    target = root / "bin" / program.name
    target.parent.mkdir(exist_ok=True)
    shutil.copy(program, target)
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(/\S+)", listed):
        place = root / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copy(library, place)


def _program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def machine(base: Path, tmp_path: Path) -> Callable[[], Machine]:
    """A new empty machine, each call another one."""
    made = iter(range(10_000))

    def fresh() -> Machine:
        root = tmp_path / str(next(made))
        subprocess.run(["cp", "-al", str(base), str(root)], check=True)
        for folder in ("web", "dev"):  # written to by the stubs, so not shared
            shutil.rmtree(root / folder)
            shutil.copytree(base / folder, root / folder)
        it = Machine(root)
        it.write("boot.sh", boot_script("aws", VALUES))
        return it

    return fresh


KILL = """trap 'left=$((left - 1)); [ $left -gt 0 ] || kill -9 $BASHPID' DEBUG; set -T; """


def killed(machine: Machine, script: str, after: int) -> bool:
    """Run `script` with a kill -9 before its `after`-th command; False when it ended before that."""
    return machine.run(f"left={after}; {KILL} . {script}", check=False).returncode in (-9, 137)


def finished(machine: Machine) -> Machine:
    machine.boot()
    machine.run("/opt/pointsman/start.sh")
    return machine


def test_an_empty_machine_becomes_a_node(machine: Callable[[], Machine]) -> None:
    """k3s is there, started, waited for; only then the mark that it is a node, and the timers."""
    node = finished(machine())
    log = node.log()
    started, timed = (log.index(f"systemctl enable --now {unit}") for unit in ("k3s.service", "pointsman-sync.timer"))
    ready = next(i for i, line in enumerate(log) if line.startswith("k3s kubectl wait"))
    assert started < ready < timed
    assert node.has("run/pointsman-ready")
    assert "systemctl enable --now --no-block pointsman-start.service" in log
    assert any("associate-address" in line for line in log)


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("script", ["boot.sh", "opt/pointsman/start.sh"])
def test_killed_anywhere_and_run_again_it_ends_the_same(
    machine: Callable[[], Machine], script: str, every: int
) -> None:
    """Before every command in turn (here each seventh); afterwards no file differs, and no half of one lies about."""
    wanted, after = finished(machine()).files(), 1
    while True:
        node = machine()
        if script != "boot.sh":
            node.boot()
        if not killed(node, f"/{script}", after):
            break
        assert not node.has("run/pointsman-ready")
        assert finished(node).files() == wanted, f"killed before command {after}"
        after += every
    assert after > 15


def test_downloads_that_fail_are_tried_again_by_systemd(machine: Callable[[], Machine]) -> None:
    """Each start that fails leaves a machine that another start makes a node; the unit says to start again."""
    node = machine()
    node.write("web/failures", "x\n" * 3)
    node.boot()
    starts = 0
    while node.run("/opt/pointsman/start.sh", check=False).returncode:
        starts += 1
        assert not node.has("usr/local/bin/k3s")
        assert not node.has("run/pointsman-ready")
    assert starts == 3
    unit = node.text("etc/systemd/system/pointsman-start.service")
    assert "Restart=on-failure" in unit
    assert "StartLimitIntervalSec=0" in unit


def test_a_binary_that_is_not_the_release_is_never_run(machine: Callable[[], Machine]) -> None:
    """Its sum is another: no k3s, no node."""
    node = machine()
    for asset in ("k3s", "k3s-arm64"):
        node.write(f"web/{asset}", "something else")
    node.boot()
    assert node.run("/opt/pointsman/start.sh", check=False).returncode != 0
    assert not node.has("usr/local/bin/k3s")


def test_a_dead_boot_gives_the_machine_up(machine: Callable[[], Machine]) -> None:
    """Twenty minutes without a node: powered off, so the group of one replaces it. A node stays."""
    dead, node = machine(), finished(machine())
    dead.boot()
    dead.run("/opt/pointsman/give-up.sh")
    node.run("/opt/pointsman/give-up.sh")
    assert "systemctl poweroff" in dead.log()
    assert "systemctl poweroff" not in node.log()
    assert "OnBootSec=20min" in dead.text("etc/systemd/system/pointsman-give-up.timer")


def test_certificates_survive_the_machine(machine: Callable[[], Machine]) -> None:
    """Kept in the bucket, without what only the old cluster knew; the next machine has them before its manifests."""
    first = finished(machine())
    first.write("cluster/tls.yaml", TLS)
    first.run("/opt/pointsman/sync.sh")
    kept = first.text("bucket/certificates.yaml")
    assert "tls.key" in kept
    assert "uid" not in kept
    second = finished(machine())
    second.write("bucket/certificates.yaml", kept)
    second.write("bucket/manifests.yaml", "kind: Deployment")
    second.run("/opt/pointsman/sync.sh")
    assert second.text("cluster/tls.yaml") == kept
    assert second.text("var/lib/rancher/k3s/server/manifests/pointsman.yaml") == "kind: Deployment"
    assert any(line.startswith("k3s kubectl create namespace pointsman") for line in second.log())


def test_a_bucket_that_is_away_starts_nothing_new(machine: Callable[[], Machine]) -> None:
    """No answer is not "no certificates": nothing is applied, and what is kept is not written over."""
    node = finished(machine())
    node.write("bucket/certificates.yaml", TLS)
    node.write("bucket/manifests.yaml", "kind: Deployment")
    node.write("bucket/down", "")
    assert node.run("/opt/pointsman/sync.sh", check=False).returncode != 0
    assert not node.has("var/lib/rancher/k3s/server/manifests/pointsman.yaml")
    (node.root / "bucket/down").unlink()
    node.run("/opt/pointsman/sync.sh")
    assert node.has("var/lib/rancher/k3s/server/manifests/pointsman.yaml")
    assert "tls.key" in node.text("bucket/certificates.yaml")


def test_a_bad_file_leaves_the_last_good_state_and_is_reported(machine: Callable[[], Machine]) -> None:
    """What the API server would refuse never reaches k3s; the bucket says why, and a good file mends it."""
    folder = "var/lib/rancher/k3s/server/manifests"
    node = finished(machine())
    node.write("bucket/addons.yaml", "kind: HelmChart")
    node.write("bucket/manifests.yaml", "kind: Deployment")
    node.run("/opt/pointsman/sync.sh")
    assert node.text(f"{folder}/pointsman-addons.yaml") == "kind: HelmChart"
    assert node.text("bucket/status.txt").splitlines() == ["addons.yaml: applied", "manifests.yaml: applied"]
    node.write("bucket/manifests.yaml", "kind: BAD")
    told = node.run("/opt/pointsman/sync.sh")
    assert node.text(f"{folder}/pointsman.yaml") == "kind: Deployment"
    assert "refused, the last good one stays: error: no matches for kind BAD" in told.stderr
    assert node.text("bucket/status.txt").splitlines()[-1].startswith("manifests.yaml: refused")
    assert "addons.yaml: applied" in node.text("bucket/status.txt")
    node.write("bucket/manifests.yaml", "kind: StatefulSet")
    node.run("/opt/pointsman/sync.sh")
    assert node.text(f"{folder}/pointsman.yaml") == "kind: StatefulSet"
    assert "refused" not in node.text("bucket/status.txt")


def test_addons_come_before_workloads(machine: Callable[[], Machine]) -> None:
    """A bad list of add-ons holds nothing else up; the order is the order in which k3s hears of them."""
    node = finished(machine())
    node.write("bucket/addons.yaml", "kind: BAD")
    node.write("bucket/manifests.yaml", "kind: Deployment")
    node.run("/opt/pointsman/sync.sh")
    asked = [line.split()[-1] for line in node.log() if "--dry-run=server" in line]
    assert asked == ["addons.yaml.new", "manifests.yaml.new"]
    assert not node.has("var/lib/rancher/k3s/server/manifests/pointsman-addons.yaml")
    assert node.has("var/lib/rancher/k3s/server/manifests/pointsman.yaml")
