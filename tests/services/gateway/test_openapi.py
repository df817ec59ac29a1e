"""The gateway under fire: whatever fits, or does not fit, its own OpenAPI, it answers as that file says."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi_checks

from tests.services.gateway.conftest import SECRET
from tests.services.gateway.seed import add_groups
from tests.services.gateway.served import Served, serve

EXAMPLES = 25  # per operation and mode; the whole test stays under a minute
UNLIMITED = "100000000"  # calls in a minute: here the answers matter
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.ignored_auth,
    openapi_checks.missing_required_header,
    openapi_checks.unsupported_method,
]
# No worker runs here: 503 is what the file says then. tests/services/worker/test_predictions.py has one.
WITHOUT_A_WORKER = {"/predict", "/predict/batch"}

fire = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


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
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    fired = {
        operation.label: sum(_fire(operation, mode, served.key) for mode in GenerationMode) for operation in operations
    }
    assert all(fired.values()), fired  # an operation nothing was sent to would pass unseen
    assert {operation.path for operation in operations} >= {"/hooks/{connector}", "/webhook/ticket", "/api/tickets"}
    assert "Traceback" not in served.log.read_text()


def test_every_operation_says_who_may_call_it(served: Served) -> None:
    """Without a key or a signature only health and metrics answer; each such exception is written here."""
    schema = httpx.get(f"{served.url}/openapi.json").json()
    operations = {path: operation for path, found in schema["paths"].items() for operation in found.values()}
    assert set(schema["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    open_ = {path for path, operation in operations.items() if "security" not in operation}
    assert open_ == {"/health", "/metrics", "/hooks/{connector}"}
    assert all({"408", "413", "422", "429", "431", "503"} <= set(found["responses"]) for found in operations.values())


def _fire(operation: schemathesis.schemas.APIOperation, mode: GenerationMode, key: str) -> int:
    """How many requests were sent; none where no invalid input exists."""
    sent = 0
    is_apart = operation.path in WITHOUT_A_WORKER
    try:
        strategy = operation.as_strategy(generation_mode=mode)
    except schemathesis.errors.SchemathesisError:
        return 0  # no invalid input exists for an operation without parameters

    @fire
    @given(case=strategy)
    def check(case: schemathesis.Case) -> None:
        nonlocal sent
        sent += 1
        wanted = [check for check in CHECKS if not (is_apart and check is checks.not_a_server_error)]
        case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=wanted)

    try:
        check()
    except Exception as exc:
        if "Unsatisfiable" not in type(exc).__name__ and "SkipTest" not in type(exc).__name__:
            raise
    return sent
