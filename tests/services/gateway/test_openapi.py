"""The gateway under fire: whatever fits, or does not fit, its own OpenAPI, it never answers with a server error."""

import psycopg
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from starlette.testclient import TestClient

from services.core.kit.security import Role, create_key
from services.gateway.app import build_app
from services.gateway.settings import GatewaySettings

EXAMPLES = 25  # per operation and mode; the whole test stays under half a minute
WITHOUT_ROUTER = "/health"  # it says 503 or degraded as it should: nothing else runs here

fire = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_no_operation_answers_with_a_server_error(settings: GatewaySettings, database: str) -> None:
    """Valid and invalid input alike, for every operation of the schema."""
    with psycopg.connect(database, autocommit=True) as conn:
        key = create_key(conn, name="fuzz", role=Role.ADMIN)
    app = build_app(settings)
    with TestClient(app, headers={"Authorization": f"Bearer {key}"}) as client:
        operations = [found.ok() for found in schemathesis.openapi.from_dict(app.openapi()).get_all_operations()]
        fired = {
            operation.label: sum(_fire(operation, mode, client) for mode in GenerationMode) for operation in operations
        }
    assert all(fired.values()), fired  # an operation nothing was sent to would pass unseen
    assert {operation.path for operation in operations} >= {"/hooks/{connector}", "/webhook/ticket", "/api/tickets"}


def _fire(operation: schemathesis.schemas.APIOperation, mode: GenerationMode, client: TestClient) -> int:
    """How many requests were sent; none where no invalid input exists."""
    sent = 0
    try:
        strategy = operation.as_strategy(generation_mode=mode)
    except schemathesis.errors.SchemathesisError:
        return 0  # no invalid input exists for an operation without parameters

    @fire
    @given(case=strategy)
    def check(case: schemathesis.Case) -> None:
        nonlocal sent
        sent += 1
        answer = client.request(**case.as_transport_kwargs(base_url="http://testserver"))
        assert answer.status_code < 500 or case.path == WITHOUT_ROUTER, f"{case.as_curl_command()}\n{answer.text}"

    try:
        check()
    except Exception as exc:
        if "Unsatisfiable" not in type(exc).__name__ and "SkipTest" not in type(exc).__name__:
            raise
    return sent
