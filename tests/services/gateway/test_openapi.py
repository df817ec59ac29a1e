"""The gateway under fire: whatever fits, or does not fit, its own OpenAPI, it answers as that file says."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fire import Fire
from tests.services.gateway.conftest import SECRET
from tests.services.gateway.seed import add_groups
from tests.services.gateway.served import Served, serve

EXAMPLES = 25  # per operation and mode; the whole test stays under a minute
UNLIMITED = "100000000"  # calls in a minute: here the answers matter
# No worker runs here: 503 is what the file says then. tests/services/worker/test_predictions.py has one.
WITHOUT_A_WORKER = frozenset({"/predict", "/predict/batch"})


@pytest.fixture
def served(database: str, tmp_path: Path) -> Iterator[Served]:
    add_groups(database)
    environment = {
        "POINTSMAN_API_RATE_PER_MINUTE": UNLIMITED,
        "POINTSMAN_FAILED_SIGN_INS_PER_MINUTE": UNLIMITED,
        "POINTSMAN_CONNECTORS__GENERIC__SECRETS": json.dumps([SECRET.get_secret_value()]),
        "POINTSMAN_ROUTER_URL": "http://127.0.0.1:9",  # nothing listens there
        "POINTSMAN_WORKER_URL": "http://127.0.0.1:9",
    }
    with serve(database, tmp_path, **environment) as found:
        yield found


def test_every_answer_is_one_that_the_file_declares(served: Served) -> None:
    """Valid and invalid input for every operation: no server error, no undeclared status or shape, no open door."""
    headers = {"Authorization": f"Bearer {served.key}"}
    fired = Fire(headers, EXAMPLES, away=WITHOUT_A_WORKER).at(served.url)
    assert all(fired.values()), fired  # an operation nothing was sent to would pass unseen
    assert {label.split(" ")[1] for label in fired} >= {"/hooks/{connector}", "/webhook/ticket", "/api/tickets"}
    assert "Traceback" not in served.log.read_text()


def test_every_operation_says_who_may_call_it(served: Served) -> None:
    """Without a key or a signature only health and metrics answer; each such exception is written here."""
    schema = httpx.get(f"{served.url}/openapi.json").json()
    operations = {path: operation for path, found in schema["paths"].items() for operation in found.values()}
    assert set(schema["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    open_ = {path for path, operation in operations.items() if "security" not in operation}
    assert open_ == {"/health", "/metrics", "/hooks/{connector}"}
    assert all({"408", "413", "422", "429", "431", "503"} <= set(found["responses"]) for found in operations.values())
