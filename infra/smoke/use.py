"""
Uses a stack as its workloads do: logs in to the database by identity, asks the model, looks at pods and the way in.

Database and API server of a managed stack are private: from outside these two are a warning, with where to run instead.
"""

import ssl
import tempfile
from base64 import b64decode
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

import httpx

from infra.checks import Check, NotAsExpected, Outcome, Verdict, run_checks
from infra.contract import Contract
from infra.rest import Token
from infra.smoke.edge import healthy

CONNECT_S, ANSWER_S = 5, 60
QUESTION, ANSWER_TOKENS = "Answer with the one word: ready", 256  # a reasoning model thinks in tokens first
_INSIDE = "Run it inside the network: a job in the cluster, or a machine in its subnets"


@dataclass(frozen=True)
class Caller:
    """Who asks: tokens of whoever runs this, and one short question to a deployment."""

    database: Callable[[str], str]  # database user -> password
    cluster: Token
    ask: Callable[[str], str]  # deployment -> its answer


def use(contract: Contract, *, user: str = "", caller: Caller | None = None, authority: str = "") -> list[Outcome]:
    """
    Try what workloads will do.

    Args:
        user: database user that the caller may sign in as; without it the Gateway's.
        caller: in place of the cloud's own sign-in; a test's.
        authority: PEM that the way in is trusted by, beside the system's; a test's.
    """
    who = caller or import_module(f"infra.smoke.{contract.cloud}").caller(contract)
    return run_checks(_checks(contract, who, user or contract.database.users["gateway"], authority))


def _checks(contract: Contract, who: Caller, user: str, authority: str) -> Iterator[tuple[str, Check]]:
    yield "database login", lambda: _log_in(contract, who, user)
    if contract.models.deployments:
        yield "model answers", lambda: _ask(contract, who)
    if not contract.is_small:
        yield "pods", lambda: _pods(contract, who)
    yield "health and certificate", lambda: healthy(contract.edge.hostname, authority)
    if contract.edge.chat_hostname:
        yield "the chat's", lambda: healthy(contract.edge.chat_hostname, authority)


def _log_in(contract: Contract, who: Caller, user: str) -> str:
    import psycopg

    database = contract.database
    with _trusted(database.ca) as (mode, root):
        try:
            with psycopg.connect(
                host=database.host,
                port=database.port,
                dbname=database.name,
                user=user,
                password=who.database(user),
                sslmode=mode,
                sslrootcert=root,
                connect_timeout=CONNECT_S,
            ) as connection:
                found = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
        except psycopg.OperationalError as exc:
            raise _no_login(exc, user) from exc
    if found is None:
        fix = "Run the job migrator, which makes the extension"
        raise NotAsExpected(f"{user} is in, but there is no pgvector", fix=fix)
    return f"{user} is in by its identity; pgvector {found[0]}"


def _no_login(exc: Exception, user: str) -> NotAsExpected:
    fact = str(exc).strip().splitlines()[-1][:200]
    refused = any(word in str(exc) for word in ("authentication failed", "does not exist", "no pg_hba"))
    if refused:
        return NotAsExpected(fact, fix=f"May you sign in as {user}? Name your own user with --database-user")
    return NotAsExpected(fact, fix=_INSIDE, verdict=Verdict.WARNING)


@contextmanager
def _trusted(ca: str) -> Generator[tuple[str, str]]:
    """(sslmode, sslrootcert) of libpq. An instance's own authority names an address, not a name: verify-ca."""
    if ca == "system":
        yield "verify-full", "system"
        return
    is_bundle = ca.startswith("https://")
    text = httpx.get(ca, timeout=ANSWER_S).raise_for_status().text if is_bundle else ca
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(text)
        file.flush()
        yield "verify-full" if is_bundle else "verify-ca", file.name


def _ask(contract: Contract, who: Caller) -> str:
    first = contract.models.deployments[0]
    answer = who.ask(first.name)
    if not answer.strip():
        raise NotAsExpected(f"{first.model} answered nothing", fix="Ask it in the cloud's console")
    return f"{first.model} answered {len(answer)} characters"


def _pods(contract: Contract, who: Caller) -> str:
    cluster = contract.cluster
    trust = ssl.create_default_context(cadata=b64decode(cluster.ca).decode())
    url = f"{cluster.endpoint.rstrip('/')}/api/v1/namespaces/{cluster.namespace}/pods"
    try:
        answer = httpx.get(url, headers={"Authorization": f"Bearer {who.cluster()}"}, verify=trust, timeout=CONNECT_S)
    except httpx.TransportError as exc:
        raise NotAsExpected(f"{cluster.endpoint}: {exc}"[:200], fix=_INSIDE, verdict=Verdict.WARNING) from exc
    if answer.is_error:
        raise NotAsExpected(f"{url} answered {answer.status_code}", fix=f"You need to view {cluster.namespace}")
    return _ready(answer.json()["items"], cluster.namespace)


def _ready(pods: list[dict], namespace: str) -> str:
    if not pods:
        fix = "Deploy the workloads; until then nothing answers"
        raise NotAsExpected(f"{namespace} holds no pods", fix=fix, verdict=Verdict.WARNING)
    waiting = [p["metadata"]["name"] for p in pods if not _is_ready(p["status"])]
    if waiting:
        raise NotAsExpected(f"Not ready: {', '.join(waiting)}", fix=f"kubectl -n {namespace} describe pod {waiting[0]}")
    return f"{len(pods)} pods are ready"


def _is_ready(status: dict) -> bool:
    if status["phase"] == "Succeeded":  # a job that is done
        return True
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
