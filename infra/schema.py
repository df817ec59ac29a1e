"""The settings as JSON Schema, for editors: infra/stacks/settings.schema.json is what this gives."""

import json

from infra.settings import Settings

_FROM_THE_NAMES = ("cloud", "environment")  # the project's and the stack's names say these


def settings_schema() -> str:
    schema = Settings.model_json_schema()
    for name in _FROM_THE_NAMES:
        del schema["properties"][name]
        schema["required"].remove(name)
    schema["required"].remove("profile")  # the stack's name, where it is one
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"
