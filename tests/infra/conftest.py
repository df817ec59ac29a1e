"""What tests of the stacks share; the plans themselves are tests/planned.py."""

from collections.abc import Iterator

import pytest

from infra.offline.plan import load, plain
from infra.offline.recorder import record
from infra.offline.report import StackPlan


def previewed(plan: StackPlan) -> StackPlan:
    """The same stack with every value unknown that only the cloud will know, as a first `pulumi preview` sees it."""
    recording = record(load(plan.cloud, plan.profile), simulate=False)
    inputs = {r.urn: plain(r.inputs) for r in recording.resources.values()}
    resources = tuple(r.model_copy(update={"inputs": inputs[r.urn]}) for r in plan.resources)
    return plan.model_copy(update={"resources": resources, "contract": plain(recording.outputs["contract"])})


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """A server that behaves like AWS, for boto3 and for obstore."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any words will do for moto; the point is that nobody's real ones are used."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
