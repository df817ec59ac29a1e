"""What an application's OpenAPI file says of all operations alike: who may call them, and how they refuse."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer pm_...`"},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key",
    },
}
SECURED: dict[str, Any] = {"security": [{name: []} for name in SCHEMES]}
REFUSALS = {
    400: "The body could not be read",
    401: "No valid key or signature",
    403: "The key's role may not do this",
    404: "It does not exist",
    408: "The body did not come in time",
    409: "It is not in a state that allows this",
    413: "The body is too large",
    422: "What was sent cannot be used; `message` says why",
    429: "Too many calls or failed sign-ins; Retry-After says when to come back",
    431: "Request line and headers are too large",
    503: "Something that is needed is away; try again",
}
EVERYWHERE = (400, 408, 413, 422, 429, 431, 503)  # the bounds of limits.py and connections.py stand before every route


class Refusal(BaseModel):
    """How every refusal reads. `error` names the kind for programs, `message` says fact and fix to people."""

    error: str
    message: str


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: the refusals that not every operation has."""
    return {status: {"model": Refusal, "description": REFUSALS[status]} for status in statuses}


def describe(app: FastAPI, schemes: Mapping[str, Any] = SCHEMES) -> dict[str, Any]:
    """The OpenAPI file of the application; `schemes` are the ways to say who calls."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            separate_input_output_schemas=False,
        )
        components = schema.setdefault("components", {})
        components["securitySchemes"] = schemes
        components["schemas"]["Refusal"] = Refusal.model_json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(unused, None)
        for operations in schema["paths"].values():
            for operation in operations.values():
                _add_refusals(operation)
        app.openapi_schema = schema
    return app.openapi_schema


def _add_refusals(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]  # FastAPI's own, which is not what we answer
    statuses = (*EVERYWHERE, 401, 403) if "security" in operation else EVERYWHERE
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    for status in sorted(statuses):
        responses.setdefault(str(status), {"description": REFUSALS[status], "content": content})
