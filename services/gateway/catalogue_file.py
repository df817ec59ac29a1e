"""The label catalogue as YAML, for the console: the same file that `pointsman catalogue export` prints."""

from collections.abc import Hashable
from typing import Any

import yaml
from pydantic import ValidationError

from services.core.contracts.catalogue import Catalogue
from services.core.kit.errors import InputInvalid

DEPTH_MAX = 16
FILE_MAX_CHARS = 256_000  # some hundred teams with long descriptions; reading as much takes about a second


class _Plain(yaml.SafeLoader):
    """
    Without aliases (a page of them stands for more than the memory holds), without depth, and each key once: of two the
    last would win in silence. State: how deep it is.
    """

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise InputInvalid("The file has YAML aliases (*name). Write out what they stand for.")
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise InputInvalid(f"The file is nested deeper than {DEPTH_MAX} levels. Compare it with an export.")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [(key.value, key.start_mark.line + 1) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        lines = dict(reversed(keys))
        for key, line in keys:
            if lines[key] != line:
                raise InputInvalid(f"Line {line} says '{key}' again; line {lines[key]} has said it. Keep one.")
        return super().construct_mapping(node, deep)


def catalogue_text(catalogue: Catalogue) -> str:
    return yaml.safe_dump(catalogue.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read_catalogue(text: str) -> Catalogue:
    """
    Raises:
        InputInvalid: it is no YAML, or no catalogue; the message says where.
    """
    if len(text) > FILE_MAX_CHARS:
        raise InputInvalid(f"The file is longer than {FILE_MAX_CHARS:,} characters.")
    try:
        return Catalogue.model_validate(yaml.load(text, Loader=_Plain))  # noqa: S506  # a safe loader, with less
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InputInvalid(f"The file is no YAML{where}. Compare it with an export.") from exc
    except (ValidationError, RecursionError, ValueError) as exc:
        raise InputInvalid(f"The catalogue cannot be used: {_why(exc)}") from exc


def _why(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "it is nested too deeply or holds something odd."
    problems = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}" for problem in problems[:5])
