"""SEC: no secret in code, settings or state."""

import re
from collections.abc import Iterator
from typing import Any

from infra.policies.rules.base import COMPUTED, Breach, Stack, rule

_FIELDS = frozenset(
    {
        "adminPassword",
        "administratorLoginPassword",
        "clientSecret",
        "masterPassword",
        "password",
        "passwordWo",
        "rootPassword",
        "secretBinary",
        "secretData",
        "secretString",
        "sharedAccessKey",
    }
)
_LOOKS_SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----|gh[pousr]_[A-Za-z0-9]{30,}|xox[abpr]-[A-Za-z0-9-]{10,}"
    r"|AccountKey=[A-Za-z0-9+/=]{20,}|SharedAccessKey=[A-Za-z0-9+/=]{20,}|AIza[0-9A-Za-z_-]{35}"
)


@rule("SEC-001", "no secret is written in plain text")
def no_plain_secret(stack: Stack) -> Iterator[Breach]:
    for r in stack.resources:
        for path, why in _walk(r.inputs, ""):
            yield r.urn, f"{why} at {path}; put it into the vault and reference it"
    for r in stack.of("azure-native:keyvault:Secret"):
        value = (r.inputs.get("properties") or {}).get("value")
        if value and value not in (COMPUTED, "<secret>"):
            yield r.urn, "A secret's value at properties.value; put it in by hand"


def _walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in _FIELDS and isinstance(item, str) and item not in ("", COMPUTED, "<secret>"):
                yield f"{path}.{key}".lstrip("."), "A secret"
            yield from _walk(item, f"{path}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _walk(item, f"{path}.{i}")
    elif isinstance(value, str) and _LOOKS_SECRET.search(value):
        yield path.lstrip("."), "Something that looks like a credential"
