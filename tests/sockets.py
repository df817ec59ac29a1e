"""A client that says what it likes over a bare socket."""

import socket
from contextlib import suppress
from urllib.parse import urlsplit

PATIENCE_S = 60.0


def connect(url: str) -> socket.socket:
    found = urlsplit(url)
    assert found.hostname
    assert found.port
    return socket.create_connection((found.hostname, found.port), timeout=PATIENCE_S)


def answer_of(sock: socket.socket) -> bytes:
    """Everything that comes until the server closes."""
    parts = []
    with sock, suppress(ConnectionResetError):
        while part := sock.recv(65_536):
            parts.append(part)
    return b"".join(parts)
