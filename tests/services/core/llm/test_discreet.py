"""What leaves the account is read from what the vendor's stub was asked."""

import json

from services.core.llm.build import build_llm
from services.core.llm.config import Endpoint
from tests.services.core.llm.conftest import config_for
from tests.services.core.llm.stub_server import Says

GOOD = {"impact": "medium", "urgency": "high", "priority": "high", "reason": "<OTHER_1> is down."}


async def test_a_vendor_gets_the_strict_level_and_its_answer_comes_back_whole(stub, question):
    """Nothing was configured: strict. The reason names the product again."""
    stub.script(Says(GOOD))
    asked = question.model_copy(update={"body": "Zorbixa is down, jkowal says"})
    answered = await build_llm(config_for("azure", stub)).prioritiser.prioritise(asked)
    sent = json.dumps([str(request) for request in stub.asked])
    assert "Zorbixa" not in sent
    assert "jkowal" not in sent
    assert answered.answer.reason == "Zorbixa is down."


async def test_an_operator_may_choose_standard_for_a_model_of_their_own(stub, question):
    """Per destination, in its endpoint."""
    stub.script(Says(GOOD | {"reason": "It is down."}))
    config = config_for("openai", stub)
    own = Endpoint.model_validate(config.openai.model_dump() | {"redaction": "standard"})
    asked = question.model_copy(update={"body": "Zorbixa is down"})
    await build_llm(config.model_copy(update={"openai": own})).prioritiser.prioritise(asked)
    assert "Zorbixa" in json.dumps([str(request) for request in stub.asked])
