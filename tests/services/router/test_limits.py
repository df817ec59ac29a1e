"""The router's REST port attacked over real sockets, as the gateway's is."""

from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.services.router.conftest import Router, start
from tests.services.trainer.bundles import small_bundle
from tests.sockets import PATIENCE_S, answer_of, connect

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """One that waits a second for a head or a body."""
    short = {"POINTSMAN_BODY_TIMEOUT_S": "1", "POINTSMAN_HEAD_TIMEOUT_S": "1"}
    process, router = start(tmp_path_factory.mktemp("hasty") / "log", "--model-dir", str(small_bundle()), **short)
    yield router
    process.terminate()
    process.wait(PATIENCE_S)


def is_well(router: Router) -> bool:
    return httpx.get(f"{router.http}/v2/health/ready", timeout=PATIENCE_S).status_code == 200


def test_an_endless_head_is_cut_off(router: Router) -> None:
    """It took 66 MB of one header and kept the memory."""
    before, sent = psutil.Process(router.pid).memory_info().rss, 0
    sock = connect(router.http)
    try:
        sock.sendall(b"GET /v2 HTTP/1.1\r\nhost: x\r\nx-long: ")
        while sent < 50 * MIB:
            sock.sendall(b"a" * 16_384)
            sent += 16_384
    except (BrokenPipeError, ConnectionResetError):
        pass
    sock.close()
    assert sent < 20 * MIB
    assert psutil.Process(router.pid).memory_info().rss - before < 20 * MIB


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET /v2 HTTP/1.1\r\nhost:",
        b"POST /v2/models/router/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{",
        b"POST /v2/nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{",
    ],
    ids=["silent", "half a head", "half a body", "half a body for nobody"],
)
def test_half_open_connections_end(hasty: Router, head: bytes) -> None:
    """Sixty of sixty were still open after 100 s; each is closed by the router, and others are served meanwhile."""
    sockets = [connect(hasty.http) for _ in range(60)]
    for sock in sockets:
        sock.sendall(head)
    assert is_well(hasty)
    for sock in sockets:
        answer_of(sock)


def test_a_client_that_leaves_is_no_error(hasty: Router) -> None:
    """Each wrote 2 kB of traceback into a log that nobody rotates."""
    before = len(hasty.log.read_text())
    for _ in range(20):
        with connect(hasty.http) as sock:
            sock.sendall(b"POST /v2/models/router/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    assert is_well(hasty)
    log = hasty.log.read_text()[before:]
    assert "Traceback" not in log
    assert '"level": "error"' not in log


def test_a_body_that_does_not_come_is_408(hasty: Router) -> None:
    """In the words of protocol v2."""
    sock = connect(hasty.http)
    sock.sendall(b"POST /v2/models/router/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
    answer = answer_of(sock)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'{"error": "The body did not come within 1 s.' in answer
