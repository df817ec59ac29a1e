"""A stub of the vendors' APIs, and one configuration per provider that points to it."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from services.core.contracts.priority import LabelText, PriorityQuestion, SummaryQuestion
from services.core.llm.config import Endpoint, LlmConfig
from tests.services.core.llm.stub_server import Stub, stub_server

LABELS = tuple(LabelText(name=name) for name in ("low", "normal", "high", "urgent"))
MODELS = {
    "openai": "openai:qwen3",
    "azure": "azure:gpt-5-mini",
    "bedrock": "bedrock:us.amazon.nova-micro-v1:0",
    "vertex": "vertex:gemini-3.5-flash-lite",
}


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stub_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _aws_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pod's identity gives boto3: it signs requests to the stub with it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(params=MODELS)
def config(request: pytest.FixtureRequest, stub: Stub) -> LlmConfig:
    """The same configuration on each provider."""
    return config_for(request.param, stub)


def config_for(provider: str, stub: Stub, **changes: object) -> LlmConfig:
    key = None if provider == "bedrock" else SecretStr("key-of-the-test")
    path = "/v1" if provider == "openai" else ""
    endpoint = Endpoint(base_url=stub.url + path, api_key=key, region="us-east-1" if provider == "bedrock" else None)
    model = MODELS[provider]
    values = {"priority": model, "summary": model, provider: endpoint, "timeout_s": 5.0, **changes}
    return LlmConfig.model_validate(values)


@pytest.fixture
def question() -> PriorityQuestion:
    return PriorityQuestion(
        ticket_id="T-1",
        subject="Portal is slow",
        body="The portal is slow for our team, <PERSON_1> says.",
        group=LabelText(name="Web", description="portal and website"),
        labels=LABELS,
    )


@pytest.fixture
def solved() -> SummaryQuestion:
    return SummaryQuestion(
        ticket_id="T-1",
        subject="VPN client fails",
        body="The VPN client fails with error 809, see https://kb.example.com/vpn.",
        comments=(("agent", "I have reset the firewall rule per KB0012345."), ("requester", "Works, thanks.")),
    )
