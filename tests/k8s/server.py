"""A real API server without a cluster behind it: etcd and kube-apiserver of KUBEBUILDER_ASSETS, asked by kubectl."""

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.conftest import free_port

READY_S = 90


@dataclass(frozen=True)
class Server:
    kubeconfig: Path

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """
        Raises:
            AssertionError: what the server, or kubectl, said against it.
        """
        command = ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def apply(self, objects: list[dict[str, Any]], *more: str) -> None:
        """Strictly: a field that the server does not know is refused."""
        self.kubectl(
            "apply", "--server-side", "--force-conflicts", "--validate=strict", *more, "-f", "-",
            given=yaml.safe_dump_all(objects),
        )  # fmt: skip


@contextmanager
def started(assets: Path, folder: Path) -> Iterator[Server]:
    """Its own admission: Pod Security by the namespaces' labels; but nobody makes accounts, so none is asked for."""
    stores, port, token = free_port(), free_port(), secrets.token_hex(16)
    key = folder / "accounts.pem"
    key.write_bytes(_private_key())
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    (folder / "tokens.csv").chmod(0o600)
    etcd = [
        str(assets / "etcd"), f"--data-dir={folder / 'etcd'}", f"--listen-client-urls=http://127.0.0.1:{stores}",
        f"--advertise-client-urls=http://127.0.0.1:{stores}", "--listen-peer-urls=http://127.0.0.1:0",
        "--unsafe-no-fsync",
    ]  # fmt: skip
    server = [
        str(assets / "kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{stores}", "--bind-address=127.0.0.1",
        f"--secure-port={port}", f"--cert-dir={folder / 'certificates'}", "--service-cluster-ip-range=10.0.0.0/24",
        f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC", "--allow-privileged=true",
        f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
        "--service-account-issuer=https://kubernetes.default.svc", "--disable-admission-plugins=ServiceAccount",
    ]  # fmt: skip
    with ExitStack() as stack:
        for command in (etcd, server):
            stack.enter_context(_process(command, folder / f"{Path(command[0]).name}.log"))
        found = Server(_kubeconfig(folder, port, token))
        _wait(found, folder)
        yield found


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[None]:
    with log.open("w") as told, subprocess.Popen(command, stdout=told, stderr=told) as process:
        try:
            yield
        finally:
            process.terminate()


def _wait(server: Server, folder: Path) -> None:
    end, why = time.monotonic() + READY_S, ""
    while time.monotonic() < end:
        try:
            server.kubectl("get", "--raw", "/readyz")
            return
        except AssertionError as exc:
            why = str(exc)
            time.sleep(1)
    tails = "\n".join(file.read_text()[-1500:] for file in sorted(folder.glob("*.log")))
    raise TimeoutError(f"The API server is not ready: {why}\n{tails}")


def _kubeconfig(folder: Path, port: int, token: str) -> Path:
    where = {
        "server": f"https://127.0.0.1:{port}",
        "insecure-skip-tls-verify": True,
    }  # its own certificate, this machine
    found = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": where}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "admin"}}],
        "current-context": "it",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(found))
    path.chmod(0o600)
    return path


def _private_key() -> bytes:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def assets() -> Path | None:
    """The folder of setup-envtest, where somebody named one."""
    found = os.environ.get("KUBEBUILDER_ASSETS", "")
    return Path(found) if found else None
