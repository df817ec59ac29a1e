"""What workloads will do, tried for real: PostgreSQL over TLS, an API server and a Gateway with own certificates."""

import json
import socket
import socketserver
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import psycopg
import pytest

from infra.checks import Outcome, Verdict
from infra.contract import Contract
from infra.rest import Rest
from infra.smoke import aws, azure, gcp
from infra.smoke.use import Caller, use
from services.local.postgres import EmbeddedPostgres
from tests.infra.servers import cloud, says
from tests.planned import Plans

READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def certificate(folder: Path, *, days: int) -> tuple[Path, Path]:
    """A self-signed certificate of this machine and its key."""
    folder.mkdir()
    made, key = folder / "certificate.pem", folder / "key.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext", names]
    subprocess.run([*command, "-days", str(days), "-keyout", key, "-out", made], check=True, capture_output=True)
    return made, key


@contextmanager
def answering(made: tuple[Path, Path], answers: dict[str, tuple[int, str]]) -> Iterator[int]:
    """An HTTPS server on this machine; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, "{}"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(*made)
    server.socket = trust.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("certificate") / "long", days=90)


@dataclass(frozen=True)
class Database:
    port: int
    name: str


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, made: tuple[Path, Path]) -> Iterator[Database]:
    """A user whose password is a token, pgvector, and TLS before the session's server, whose build has none."""
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("CREATE ROLE smoker LOGIN PASSWORD 'token-of-smoker'")
        admin.execute("CREATE EXTENSION IF NOT EXISTS vector")
        try:
            with tls_before(postgres.port, made) as port:
                yield Database(port, str(admin.info.dbname))
        finally:
            admin.execute("DROP ROLE smoker")


@contextmanager
def tls_before(port: int, made: tuple[Path, Path]) -> Iterator[int]:
    """PostgreSQL's own start of TLS (an SSLRequest answered by S), then its protocol as it is."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(*made)

    class Front(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(8)
            self.request.sendall(b"S")
            server = socket.create_connection(("127.0.0.1", port))
            with server, trust.wrap_socket(self.request, server_side=True) as client:
                Thread(target=pump, args=(server, client), daemon=True).start()
                pump(client, server)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Front) as front:
        front.daemon_threads = True
        front.handle_error = lambda *_: None  # ty: ignore[invalid-assignment] - a client that hangs up is a case here
        Thread(target=front.serve_forever, daemon=True).start()
        yield front.server_address[1]
        front.shutdown()


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def caller(answer: str = "ready") -> Caller:
    return Caller(database=lambda user: f"token-of-{user}", cluster=lambda: "any", ask=lambda _: answer)


def planned(plans: Plans, **changed: Any) -> Contract:
    raw = {**plans["gcp", "prod"].contract}
    for part, values in changed.items():
        raw[part] = {**raw[part], **values}
    return Contract.model_validate(raw)


def tried(
    contract: Contract, made: tuple[Path, Path], *, user: str = "smoker", who: Caller | None = None
) -> dict[str, Outcome]:
    return {o.name: o for o in use(contract, user=user, caller=who or caller(), authority=made[0].read_text())}


def at(database: Database, made: tuple[Path, Path], **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": database.port, "name": database.name, "ca": made[0].read_text(), **more}


def test_a_stack_that_works_passes(plans: Plans, database: Database, made: tuple[Path, Path]) -> None:
    """Login over verified TLS with a token, a model that answers, ready pods, a healthy Gateway."""
    pods = '{"items": [{"metadata": {"name": "gateway-1"}, "status": ' + json.dumps(READY) + "}]}"
    with answering(made, {"/health": (200, "{}"), "/api/v1/namespaces/pointsman/pods": (200, pods)}) as port:
        contract = planned(
            plans,
            database=at(database, made),
            cluster={"endpoint": f"https://127.0.0.1:{port}", "ca": b64encode(made[0].read_bytes()).decode()},
            edge={"hostname": f"localhost:{port}", "chat_hostname": f"localhost:{port}"},
        )
        found = tried(contract, made)
    assert {name: o.fact for name, o in found.items() if o.verdict is not Verdict.OK} == {}
    assert found["database login"].fact.startswith("smoker is in by its identity; pgvector 0.")
    assert found["pods"].fact == "1 pods are ready"
    assert set(found) == {"database login", "model answers", "pods", "health and certificate", "the chat's"}


def test_a_user_the_database_does_not_take_is_missing(
    plans: Plans, database: Database, made: tuple[Path, Path]
) -> None:
    """The token is right for nobody of that name."""
    outcome = tried(planned(plans, database=at(database, made)), made, user="stranger")["database login"]
    assert outcome.verdict is Verdict.MISSING
    assert "--database-user" in outcome.fix


def test_a_server_under_another_authority_is_not_trusted(
    plans: Plans, database: Database, made: tuple[Path, Path], tmp_path: Path
) -> None:
    """The contract's authority is really asked: a token must not go to a stranger."""
    other, _ = certificate(tmp_path / "other", days=90)
    contract = planned(plans, database=at(database, made, ca=other.read_text()))
    outcome = tried(contract, made)["database login"]
    assert outcome.verdict is not Verdict.OK
    assert "certificate verify failed" in outcome.fact


def test_what_is_private_is_a_warning_with_where_to_go(plans: Plans, made: tuple[Path, Path]) -> None:
    """Nothing listens at that address: from outside a private database and API server are out of reach."""
    ca = b64encode(made[0].read_bytes()).decode()
    contract = planned(
        plans,
        database={"host": "127.0.0.1", "port": 1, "ca": "system"},
        cluster={"endpoint": "https://127.0.0.1:1", "ca": ca},
        edge={"hostname": "localhost:1", "chat": "off", "chat_hostname": ""},
    )
    found = tried(contract, made)
    assert "the chat's" not in found
    for name in ("database login", "pods"):
        assert (found[name].verdict, "inside the network" in found[name].fix) == (Verdict.WARNING, True)
    assert found["health and certificate"].verdict is Verdict.MISSING


@pytest.mark.parametrize(
    ("pods", "verdict", "words"),
    [
        ([], Verdict.WARNING, "holds no pods"),
        ([{"metadata": {"name": "job"}, "status": {"phase": "Succeeded"}}], Verdict.OK, "1 pods are ready"),
        ([{"metadata": {"name": "w"}, "status": {"phase": "Pending"}}], Verdict.MISSING, "Not ready: w"),
    ],
)
def test_pods_are_looked_at(
    plans: Plans, made: tuple[Path, Path], pods: list[Any], verdict: Verdict, words: str
) -> None:
    """A finished job is well; a pod that waits is named."""
    with answering(made, {"/api/v1/namespaces/pointsman/pods": (200, json.dumps({"items": pods}))}) as port:
        cluster = {"endpoint": f"https://127.0.0.1:{port}", "ca": b64encode(made[0].read_bytes()).decode()}
        outcome = tried(planned(plans, cluster=cluster, database={"host": "127.0.0.1", "port": 1}), made)["pods"]
    assert outcome.verdict is verdict
    assert words in outcome.fact


@pytest.mark.parametrize(
    ("days", "status", "trusted", "words"),
    [
        (90, 503, True, "/health answered 503"),
        (5, 200, True, "ends in"),
        (90, 200, False, "Nobody trusts localhost"),
    ],
)
def test_the_way_in_is_judged(plans: Plans, tmp_path: Path, days: int, status: int, trusted: bool, words: str) -> None:
    """A Gateway that is down, a certificate that was not renewed, one that nobody signed."""
    own = certificate(tmp_path / "own", days=days)
    other = certificate(tmp_path / "other", days=90)
    with answering(own, {"/health": (status, "{}")}) as port:
        contract = planned(plans, edge={"hostname": f"localhost:{port}"}, database={"host": "127.0.0.1", "port": 1})
        outcome = tried(contract, own if trusted else other)["health and certificate"]
    assert outcome.verdict is Verdict.MISSING
    assert words in outcome.fact


def test_a_silent_model_is_missing(plans: Plans, made: tuple[Path, Path]) -> None:
    """An answer without a word is not an answer."""
    contract = planned(plans, database={"host": "127.0.0.1", "port": 1}, edge={"hostname": "localhost:1"})
    assert tried(contract, made, who=caller(" "))["model answers"].verdict is Verdict.MISSING


def test_each_cloud_asks_in_its_own_words(aws_credentials: None) -> None:
    """The paths and bodies of Azure OpenAI and Vertex AI; the token of EKS names the cluster in its signature."""
    routes = {
        r"POST /openai/deployments/gpt-5-nano/chat/completions\?api-version=": says(
            {"choices": [{"message": {"content": "ready"}}]}
        ),
        r"POST /v1/projects/p/locations/global/publishers/google/models/gemini:generateContent": says(
            {"candidates": [{"content": {"parts": [{"text": "ready"}]}}]}
        ),
    }
    with cloud(routes) as server:
        rest = Rest(server.url, lambda: "any")
        assert (azure.ask(rest, "gpt-5-nano"), gcp.ask(rest, "p", "gemini")) == ("ready", "ready")
    assert aws.cluster_token(boto3.Session(region_name="us-east-1"), "c").startswith("k8s-aws-v1.")
