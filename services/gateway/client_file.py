"""
Writes the typed client from the gateway's OpenAPI file: `make contracts`, or `python -m services.gateway.client_file`.

Models become pydantic classes, operations methods of one class. What it cannot express is an error, never left out.
"""

import keyword
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from services.core.kit.errors import ConfigurationInvalid
from services.gateway.app import build_app
from services.gateway.settings import GatewaySettings

FILE = Path(__file__).parents[2] / "pointsman" / "client" / "generated.py"
HEAD = '''"""Written from the gateway's OpenAPI file by `make contracts`; changes here are lost."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from pointsman.client.transport import Model, Transport
'''
PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
FORMATS = {"date-time": "datetime", "uuid": "UUID"}
METHODS = ("get", "post", "put", "delete")
Schema = Mapping[str, Any]


def client_text() -> str:
    """The whole file."""
    nowhere = GatewaySettings(database_url=SecretStr("postgresql://nobody@127.0.0.1:9/none"))
    file = build_app(nowhere).openapi()
    operations = [(path, method, op) for path, found in file["paths"].items() for method, op in found.items()]
    names = [op["operationId"] for _, _, op in operations]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationInvalid(f"Operations that share a name: {', '.join(twice)}. Rename the functions.")
    callable_ = [entry for entry in operations if _is_for_clients(entry[2])]
    schemas = dict(file["components"]["schemas"]) | dict(_inline_bodies(callable_))
    del schemas["Refusal"]
    models = [_model(_name(name), schema) for name, schema in sorted(schemas.items())]
    methods = [_method(path, method, op) for path, method, op in sorted(callable_, key=lambda e: e[2]["operationId"])]
    client = (
        'class Pointsman(Transport):\n    """One method per operation. Raises PointsmanRefused and NotReached."""\n'
    )
    return "\n\n".join([HEAD, *models, client + "\n" + "\n".join(methods)])


def write(file: Path = FILE) -> None:
    file.write_text(client_text(), "utf-8")


def type_of(schema: Schema) -> str:
    """
    The schema as a Python type.

    Raises:
        ConfigurationInvalid: it says something that this writer does not know.
    """
    if "$ref" in schema:
        return _name(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_of(one) for one in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum") or [schema["const"]]
        return f"Literal[{', '.join(repr(None if value is None else str(value)) for value in values)}]"
    kind = schema.get("type")
    if kind == "array":
        return f"list[{type_of(schema['items'])}]"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {type_of(values)}]" if isinstance(values, dict) and values else "dict[str, Any]"
    if kind in PLAIN:
        return FORMATS.get(schema.get("format", ""), PLAIN[kind])
    if not set(schema) - {"title", "description", "default"}:
        return "Any"
    raise ConfigurationInvalid(f"The client cannot express the schema {dict(schema)}. Teach it in {__name__}.")


def _is_for_clients(operation: Schema) -> bool:
    """Signed hooks are for ticketing systems, metrics for Prometheus."""
    return "security" in operation or operation["operationId"] == "read_health"


def _inline_bodies(operations: list[tuple[str, str, Any]]) -> Iterator[tuple[str, Schema]]:
    for _, _, operation in operations:
        schema = _body(operation)
        if schema is not None and "$ref" not in schema:
            yield schema["title"], schema


def _body(operation: Schema) -> Schema | None:
    found = operation.get("requestBody")
    return found["content"]["application/json"]["schema"] if found else None


def _model(name: str, schema: Schema) -> str:
    if "enum" in schema:
        return f"{name} = {type_of(schema)}\n"
    lines = [f"class {name}(Model):", f'    """{_doc(schema, 4)}"""', ""]
    required = set(schema.get("required", ()))
    fields = schema.get("properties", {})
    lines += [f"    {_field(field, type_of(found), field in required)}" for field, found in fields.items()]
    return "\n".join(lines) + "\n"


def _field(name: str, kind: str, is_required: bool) -> str:
    """A field that may be left out is None then: what the gateway takes instead is its own to say."""
    if keyword.iskeyword(name):
        return f"{name}_: {kind} = Field({'' if is_required else 'default=None, '}alias={name!r})"
    if is_required:
        return f"{name}: {kind}"
    return f"{name}: {kind} = None" if "None" in kind.split(" | ") else f"{name}: {kind} | None = None"


def _method(path: str, method: str, operation: Schema) -> str:
    if method not in METHODS:
        raise ConfigurationInvalid(f"The client cannot express {method} {path}.")
    parameters = operation.get("parameters", [])
    places = [p for p in parameters if p["in"] == "path"]
    options = [p for p in parameters if p["in"] != "path"]
    body = _body(operation)
    arguments = ["self", *(f"{p['name']}: {type_of(p['schema'])}" for p in places)]
    if body is not None:
        arguments.append(f"body: {type_of(body) if '$ref' in body else body['title']}")
    if options:
        arguments += ["*", *(f"{_argument(p)}: {_optional(p)}" for p in options)]
    answer = _answer(operation)
    calls = [f'"{method.upper()}"', ("f" if places else "") + f'"{path}"', answer]
    calls += ["body=body"] * (body is not None)
    for where, word in (("query", "query"), ("header", "headers")):
        named = ", ".join(f"{p['name']!r}: {_argument(p)}" for p in options if p["in"] == where)
        calls += [f"{word}={{{named}}}"] * bool(named)
    head = f"    def {operation['operationId']}({', '.join(arguments)}) -> {answer}:"
    return f'{head}\n        """{_doc(operation, 8)}"""\n        return self._call({", ".join(calls)})\n'


def _optional(parameter: Schema) -> str:
    kind = type_of(parameter["schema"])
    if parameter.get("required"):
        return kind
    return f"{kind} = None" if "None" in kind.split(" | ") else f"{kind} | None = None"


def _argument(parameter: Schema) -> str:
    return re.sub(r"\W", "_", parameter["name"]).lower()


def _answer(operation: Schema) -> str:
    for status, found in sorted(operation["responses"].items()):
        if status.startswith("2"):
            return type_of(found["content"]["application/json"]["schema"])
    raise ConfigurationInvalid(f"{operation['operationId']} says nothing of its answer.")


def _doc(schema: Schema, indent: int) -> str:
    words = (schema.get("description") or schema.get("title") or "").strip()
    return words.replace("\n", "\n" + " " * indent).replace('"""', "'''").replace("\n" + " " * indent + "\n", "\n\n")


def _name(name: str) -> str:
    return re.sub(r"\W", "", name)


if __name__ == "__main__":
    write()
    sys.stdout.write(f"{FILE}\n")
