"""
Atlassian Document Format, in which Jira's REST 3 keeps text: plain text in, plain text out.

Source: https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/
"""

from typing import Any

from services.core.connectors import lenient

LINES = frozenset({"paragraph", "heading", "codeBlock"})  # lists, tables and panels hold these


def write(text: str) -> dict[str, Any]:
    """A document with one paragraph for each line."""
    return {"type": "doc", "version": 1, "content": [_paragraph(line) for line in text.split("\n")]}


def read(document: Any) -> str:
    """The text of a document, one line for each block; a string stays as it is (webhooks send those)."""
    if isinstance(document, dict):
        return "".join(_parts(document)).removesuffix("\n")
    return lenient.text(document)


def _paragraph(line: str) -> dict[str, Any]:
    return {"type": "paragraph", "content": [{"type": "text", "text": line}] if line else []}  # no empty text nodes


def _parts(node: dict[str, Any]) -> list[str]:
    kind, attributes = lenient.text(node.get("type")), lenient.child(node, "attrs")
    said = "\n" if kind == "hardBreak" else lenient.text(node.get("text"))
    parts = [said or lenient.text(attributes.get("text")) or lenient.text(attributes.get("url"))]
    for below in lenient.objects(node.get("content")):
        parts += _parts(below)
    return [*parts, "\n"] if kind in LINES else parts
