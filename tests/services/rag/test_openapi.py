"""The chat under fire: whatever fits, or does not fit, its own OpenAPI file, it answers as that file says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from services.core.search.encoder import TextEncoder
from tests.fire import Fire
from tests.services.rag.conftest import TIMEOUT_S, Rag, running_rag

LIMITS = ("RAG_SESSIONS", "RAG_MESSAGES", "RAG_CALLER_MESSAGES", "FAILED_SIGN_INS")
EXAMPLES = 10  # per operation and mode: some are answered from the documents


@pytest.fixture(scope="module")
def rag(postgres: Any, template: str, objects: Path, text_encoder: TextEncoder, tmp_path_factory: Any) -> Iterator[Rag]:
    """Without limits on calls in a minute: here the answers matter."""
    limits = {f"POINTSMAN_{name}_PER_MINUTE": "100000000" for name in LIMITS}
    yield from running_rag(postgres, template, objects, text_encoder, tmp_path_factory.mktemp("pages"), **limits)


@pytest.mark.parametrize("is_known", [True, False], ids=["a conversation of one's own", "any"])
def test_every_answer_is_one_that_the_file_declares(rag: Rag, is_known: bool) -> None:
    """Valid and invalid input for every operation, on a conversation that is there and on such as are not."""
    opened = httpx.post(f"{rag.url}/sessions", json={}, timeout=TIMEOUT_S).json()

    def own(case: schemathesis.Case) -> None:
        if is_known and case.operation.path != "/sessions" and "session_id" in (case.path_parameters or {}):
            case.path_parameters["session_id"] = opened["id"]

    headers = {"Authorization": f"Bearer {opened['token']}"} if is_known else {}
    fired = Fire(headers, EXAMPLES, change=own).at(rag.url)
    assert all(fired.values()), fired
    assert len(fired) == 6
    assert "Traceback" not in (rag.objects / "rag.log").read_text()


def test_every_operation_says_who_may_call_it(rag: Rag) -> None:
    """Without a token or a key only health answers; visitors may open a conversation where that is public."""
    schema = httpx.get(f"{rag.url}/openapi.json", timeout=TIMEOUT_S).json()
    operations = {path: operation for path, found in schema["paths"].items() for operation in found.values()}
    assert set(schema["components"]["securitySchemes"]) == {"bearer", "apiKey", "conversation"}
    assert {path for path, operation in operations.items() if "security" not in operation} == {"/health"}
    assert {path for path, operation in operations.items() if {} in operation.get("security", ())} == {"/sessions"}
