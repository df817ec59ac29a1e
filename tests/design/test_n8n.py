"""The example workflow for n8n: it can be imported, and what it sends is what the gateway takes."""

import json
import re
from pathlib import Path

import httpx
from pydantic import SecretStr

from services.gateway import waiting
from services.gateway.app import build_app
from services.gateway.endpoints.hooks import PlainTicket
from services.gateway.settings import GatewaySettings

FILE = Path(__file__).parents[2] / "design/guides/n8n/form-to-ticket.json"
WORKFLOW = json.loads(FILE.read_text("utf-8"))
NODES = {node["name"]: node for node in WORKFLOW["nodes"]}
CALL = NODES["Pointsman"]["parameters"]


def test_the_file_is_a_workflow_that_n8n_imports() -> None:
    """Every node has what n8n asks of one, ids and names are unique, and connections join nodes that exist."""
    for node in NODES.values():
        assert {"id", "name", "type", "typeVersion", "position", "parameters"} <= set(node)
        assert node["type"].startswith("n8n-nodes-base.")
        assert [type(place) for place in node["position"]] == [int, int]
    assert len({node["id"] for node in WORKFLOW["nodes"]}) == len(NODES) == len(WORKFLOW["nodes"])
    joined = {
        (source, end["node"]) for source, outs in WORKFLOW["connections"].items() for out in outs["main"] for end in out
    }
    assert {name for pair in joined for name in pair} == set(NODES)
    assert WORKFLOW["active"] is False


def test_it_holds_no_secret_and_no_address() -> None:
    """Keys are credentials of n8n; the address is the user's."""
    text = FILE.read_text("utf-8")
    assert "credentials" not in text
    assert re.findall(r"pm_[0-9a-f]|https?://", text) == []


def test_its_fields_and_headers_are_the_gateways() -> None:
    """Every body field is one of a plain ticket, the required ones are there, and the wait can be read."""
    fields = {entry["name"] for entry in CALL["bodyParameters"]["parameters"]}
    assert fields <= set(PlainTicket.model_fields)
    assert {name for name, field in PlainTicket.model_fields.items() if field.is_required()} <= fields
    headers = {entry["name"]: entry["value"] for entry in CALL["headerParameters"]["parameters"]}
    assert waiting.wanted_s(headers["Prefer"]) == 10
    assert "Idempotency-Key" in headers


async def test_its_address_is_a_route_that_asks_for_a_key() -> None:
    """401, not 404."""
    app = build_app(GatewaySettings(database_url=SecretStr("postgresql://x@127.0.0.1:9/x")))
    path = CALL["url"].partition("}}")[2]
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://g") as http:
        assert (await http.request(CALL["method"], path, json={"title": "x"})).status_code in (401, 503)
