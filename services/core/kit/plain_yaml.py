"""
YAML that means what it looks like: no aliases (a page of them stands for more than the memory holds), no depth, no tags
of one's own, and each key once: of two the last would win in silence.
"""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import yaml

from services.core.kit.errors import InputInvalid

DEPTH_MAX = 16
KNOWN = "tag:yaml.org,2002:"

_Loader = yaml.SafeLoader if TYPE_CHECKING else object


class _Once(_Loader):
    """State: how deep it is."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise InputInvalid("The file has YAML aliases (*name). Write out what they stand for.")
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise InputInvalid(f"The file is nested deeper than {DEPTH_MAX} levels.")
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is not None and not node.tag.startswith(KNOWN):
            raise InputInvalid(f"Line {node.start_mark.line + 1} has the tag {node.tag}, which nobody knows here.")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [(key.value, key.start_mark.line + 1) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        first: dict[str, int] = {}
        for key, line in keys:
            if key in first:
                raise InputInvalid(f"Line {line} says '{key}' again; line {first[key]} has said it. Keep one.")
            first[key] = line
        return super().construct_mapping(node, deep)


class Plain(_Once, yaml.SafeLoader):
    """With YAML's numbers, dates and truth."""


class Texts(_Once, yaml.BaseLoader):
    """Every value as the text that stands there: 010 is no 8, and 1:30 no 90."""
