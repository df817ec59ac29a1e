"""
What a cloud's PostgreSQL has in front of it: TLS, and a look at the token that came as the password.

Real ones hand the session on to the server once they are satisfied; so does this, to a server that trusts it.
"""

import hashlib
import hmac
import socket
import socketserver
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from services.local.postgres import EmbeddedPostgres

TLS, PROTOCOL_3 = 80877103, 196608
Check = Callable[[str, str], bool]  # user, password -> may come in


@dataclass
class Doorman:
    """`seen` keeps who came with what."""

    port: int
    authority: Path
    check: Check
    seen: list[tuple[str, str]] = field(default_factory=list)

    def address(self, way: str, user: str, database: str = "pointsman", *, mode: str = "verify-full") -> str:
        query = urlencode({"sslmode": mode, "sslrootcert": str(self.authority)})
        return f"postgresql+{way}://{quote(user, safe='')}@localhost:{self.port}/{database}?{query}"


@contextmanager
def doorman(server: EmbeddedPostgres, folder: Path, check: Check) -> Iterator[Doorman]:
    certificate, key = _certificate(folder)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(certificate, key)

    class Front(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if struct.unpack("!ii", _exactly(self.request, 8))[1] != TLS:
                return  # not without TLS
            self.request.sendall(b"S")
            with trust.wrap_socket(self.request, server_side=True) as client:
                start = _startup(client)
                words = start[8:].split(b"\0")
                user = dict(zip(words[::2], words[1::2], strict=False))[b"user"].decode()
                client.sendall(b"R" + struct.pack("!ii", 8, 3))  # the password in clear text, inside TLS
                password = _message(client).rstrip(b"\0").decode()
                door.seen.append((user, password))
                if door.check(user, password):
                    _hand_on(client, start, server.port)
                else:
                    client.sendall(_refusal(user))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Front) as front:
        front.daemon_threads = True
        front.handle_error = lambda *_: None  # ty: ignore[invalid-assignment]  # who hangs up is a case here
        door = Doorman(front.server_address[1], certificate, check)
        Thread(target=front.serve_forever, daemon=True).start()
        yield door
        front.shutdown()


def trust_this_machine(server: EmbeddedPostgres) -> None:
    """Whoever reaches the running server itself was let in by a doorman."""
    rules = server.folder / "data" / "pg_hba.conf"
    rules.write_text("host all all 127.0.0.1/32 trust\n" + rules.read_text("utf-8"), "utf-8")
    server.stop()
    server.start()


def is_signed(token: str, *, secret_key: str, user: str, host: str, now: datetime | None = None) -> bool:
    """
    As AWS looks at it: signed with this key, for this user and server, at most fifteen minutes ago.

    Source: Signature Version 4, query string authentication; docs.aws.amazon.com/IAM/latest/UserGuide.
    """
    parts = urlsplit(f"https://{token}")
    asked = dict(parse_qsl(parts.query))
    signature, scope = asked.pop("X-Amz-Signature"), asked["X-Amz-Credential"].split("/", 1)[1]
    canonical = urlencode(sorted(asked.items()), quote_via=quote, safe="-_.~")
    request = f"GET\n/\n{canonical}\nhost:{host}\n\nhost\n{hashlib.sha256(b'').hexdigest()}"
    to_sign = f"AWS4-HMAC-SHA256\n{asked['X-Amz-Date']}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    age = (now or datetime.now(UTC)) - datetime.strptime(asked["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    is_ours = (parts.netloc, asked["Action"], asked["DBUser"]) == (host, "connect", user)
    is_fresh = asked["X-Amz-Expires"] == "900" and age < timedelta(minutes=15)
    return (
        is_ours and is_fresh and hmac.compare_digest(hmac.new(key, to_sign.encode(), "sha256").hexdigest(), signature)
    )


def _hand_on(client: ssl.SSLSocket, start: bytes, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as server:
        server.sendall(start)
        Thread(target=_pump, args=(server, client), daemon=True).start()
        _pump(client, server)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _startup(client: socket.socket) -> bytes:
    head = _exactly(client, 8)
    size, protocol = struct.unpack("!ii", head)
    assert protocol >> 16 == PROTOCOL_3 >> 16
    return head + _exactly(client, size - 8)


def _message(client: socket.socket) -> bytes:
    size = struct.unpack("!ci", _exactly(client, 5))[1]
    return _exactly(client, size - 4)


def _exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            raise ConnectionError("hung up")
        data += more
    return data


def _refusal(user: str) -> bytes:
    fields = f'SFATAL\0VFATAL\0C28P01\0MPAM authentication failed for user "{user}"\0\0'.encode()
    return b"E" + struct.pack("!i", len(fields) + 4) + fields


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of `localhost`, which is its own authority, and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    made, key = folder / "authority.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, *names, "-out", str(made), "-keyout", str(key)], check=True, capture_output=True)
    return made, key
