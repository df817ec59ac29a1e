"""The Azure checks against recorded answers, and blobs against azurite where it is installed."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.catalogue import CATALOGUE
from infra.checks import Outcome, Verdict
from infra.contract import Contract
from infra.smoke.objects import round_trip
from infra.smoke.run import smoke
from tests.infra.servers import Cloud, Route, cloud, says
from tests.planned import Plans

GROUP = "/subscriptions/s/resourceGroups/pointsman-prod"
ANSWERS = json.loads(Path(__file__).with_name("azure_answers.json").read_text())
# The key of the storage emulator, printed in its documentation: it opens nothing else.
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture
def contract(plans: Plans) -> Contract:
    """The planned contract of prod with the ids of the recorded answers."""
    raw = json.loads(json.dumps(plans["azure", "prod"].contract))
    raw["network"]["id"] = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/network"
    raw["observability"]["logs"] = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/logs"
    raw["observability"]["alerts"] = f"{GROUP}/providers/microsoft.insights/actionGroups/alerts"
    raw["secrets"]["store"] = f"{GROUP}/providers/Microsoft.KeyVault/vaults/secrets"
    raw["keys"]["data"] = "https://pointsman-k.vault.azure.net/keys/data"
    raw["cluster"]["name"] = "cluster"
    raw["database"]["host"] = "database.postgres.database.azure.com"
    raw["registry"]["url"] = "pointsmanprod.azurecr.io"
    raw["models"]["endpoint"] = "https://pointsman-ai.openai.azure.com/"
    raw["bus"]["topic"] = "sb://bus.servicebus.windows.net/events"
    raw["bus"]["queue"] = "sb://bus.servicebus.windows.net/events/subscriptions/events"
    raw["identity"]["principals"] = {n: f"client-{n}" for n in raw["identity"]["principals"]}
    raw["edge"]["hostname"] = "localhost"
    return Contract.model_validate(raw)


def routes(**changed: Any) -> dict[str, Route]:
    """The recorded answers; `changed` replaces one by its name."""
    return {f"GET {a['path']}": says(changed.get(a["name"], a["body"])) for a in ANSWERS}


class Bus:
    """Service Bus as REST: a queue whose head may first be someone else's message."""

    def __init__(self, others: int = 0) -> None:
        self.waiting = ["someone else's"] * others
        self.deleted = 0

    def routes(self) -> dict[str, Route]:
        return {
            r"POST /events/messages$": self.send,
            r"POST .*/messages/head": self.lock,
            r"DELETE ": self.delete,
            r"PUT ": says(""),
        }

    def send(self, body: str) -> Any:
        self.waiting.append(body)
        return 201, {}, ""

    def lock(self, _: str) -> Any:
        if not self.waiting:
            return 204, {}, ""
        return 201, {"Location": "/events/subscriptions/events/messages/1/lock"}, self.waiting.pop(0)

    def delete(self, _: str) -> Any:
        self.deleted += 1
        return 200, {}, ""


def outcomes(contract: Contract, arm: dict[str, Route], bus: Bus, tmp_path: Path) -> tuple[dict[str, Outcome], Cloud]:
    with ExitStack() as stack:
        manager, messages = stack.enter_context(cloud(arm)), stack.enter_context(cloud(bus.routes()))
        objects = contract.objects.model_copy(update={"documents": f"file://{tmp_path}"})
        local = contract.model_copy(update={"objects": objects})
        found = smoke(local, arm=manager.url, bus=messages.url, blobs={}, token=lambda: "any")
        return {o.name: o for o in found}, messages


def test_a_deployed_stack_passes_every_check(contract: Contract, tmp_path: Path) -> None:
    """Every capability that the catalogue does not excuse, each with a fact from the recorded answers."""
    found, _ = outcomes(contract, routes(), Bus(), tmp_path)
    assert {name: o.fact for name, o in found.items() if o.verdict is not Verdict.OK} == {}
    assert set(found) == {c.name for c in CATALOGUE if not {"*", "azure"} & set(c.unchecked)}


def test_messages_of_others_are_unlocked_and_left(contract: Contract, tmp_path: Path) -> None:
    """Only our own message is deleted; the one before it is given back."""
    bus = Bus(others=1)
    found, messages = outcomes(contract, routes(), bus, tmp_path)
    assert found["bus"].verdict is Verdict.OK
    assert bus.deleted == 1
    assert [method for method, _, _ in messages.asked].count("PUT") == 1


@pytest.mark.parametrize(
    ("answer", "body", "check", "words"),
    [
        ("extensions", {"properties": {"value": ""}}, "database", "does not allow pgvector"),
        ("server", {"properties": {"state": "Stopped"}}, "database", "is Stopped"),
        ("deployments", {"value": []}, "models", "Not deployed: gpt-5-mini, gpt-5-nano"),
        ("identities", {"value": []}, "identity", "6 identities are missing"),
        ("budgets", {"value": []}, "budget", "There is no budget"),
    ],
)
def test_what_is_wrong_is_named(
    contract: Contract, tmp_path: Path, answer: str, body: dict[str, Any], check: str, words: str
) -> None:
    """One answer changed, one check fails, with the fact in words."""
    found, _ = outcomes(contract, routes(**{answer: body}), Bus(), tmp_path)
    assert found[check].verdict is Verdict.MISSING
    assert words in found[check].fact
    assert sum(o.verdict is not Verdict.OK for o in found.values()) == 1


def test_nothing_deployed_is_said_so(contract: Contract, tmp_path: Path) -> None:
    """A 404 of the resource manager asks whether `up` has finished."""
    found, _ = outcomes(contract, {}, Bus(), tmp_path)
    assert found["network"].verdict is Verdict.MISSING
    assert "has `pulumi up` finished" in found["network"].fix


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Microsoft's storage emulator: `npm install azurite`, found by POINTSMAN_AZURITE or on the PATH."""
    program = os.environ.get("POINTSMAN_AZURITE") or shutil.which("azurite-blob")
    if not program:
        pytest.skip("azurite-blob is missing: npm install azurite, then set POINTSMAN_AZURITE to azurite-blob")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("azurite")
    command = [program, "--silent", "--skipApiVersionCheck", "--location", str(folder), "--blobHost", "127.0.0.1"]
    process = subprocess.Popen([*command, "--blobPort", str(port)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:  # it says so when it listens
            if re.search(r"successfully listen", line):
                break
        yield f"http://127.0.0.1:{port}/devstoreaccount1"
    finally:
        process.kill()  # it keeps nothing that anyone wants
        process.wait()


def test_blob_round_trip_on_azurite(azurite: str) -> None:
    """The same round trip as in the cloud, on Microsoft's own emulator; nothing is left behind."""
    from azure.storage.blob import BlobServiceClient

    service = BlobServiceClient(azurite, credential=AZURITE_KEY, api_version="2023-11-03")
    container = service.create_container("documents")
    reach = {"account_name": "devstoreaccount1", "account_key": AZURITE_KEY, "endpoint": azurite}
    fact = round_trip("az://documents", **reach, client_options={"allow_http": True})
    assert fact.startswith("64 bytes written, read back and removed")
    assert list(container.list_blobs()) == []


def test_blob_round_trip_into_a_missing_container_fails(azurite: str) -> None:
    """A container that is not there is an error, not a silent success."""
    reach = {"account_name": "devstoreaccount1", "account_key": AZURITE_KEY, "endpoint": azurite}
    with pytest.raises(FileNotFoundError):
        round_trip("az://nowhere", **reach, client_options={"allow_http": True})


def test_azurite_answers(azurite: str) -> None:
    """The emulator under the two tests above is really there."""
    assert httpx.get(azurite, params={"comp": "list"}).status_code in (400, 403)
