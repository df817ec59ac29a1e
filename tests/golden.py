"""Compares a text with a file kept in the repository; `make golden` rewrites it, and its diff is read in review."""

import os
import re
from pathlib import Path


def check_golden(path: Path, text: str) -> None:
    """Fails when `text` is not what `path` holds. With POINTSMAN_GOLDEN=1 the file is rewritten instead."""
    text = text if text.endswith("\n") else text + "\n"
    if is_golden_run():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path} does not exist. Write it with: make golden"
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs. If that is meant: make golden"


def is_golden_run() -> bool:
    return os.environ.get("POINTSMAN_GOLDEN") == "1"


def filled(page: Path, blocks: dict[str, str]) -> str:
    """The page with the text between its markers replaced; a marker without a block is an error."""
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"<!-- begin (\w+) -->", text):
        pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        text = pattern.sub(lambda match, name=name: f"{match[1]}{blocks[name]}\n{match[2]}", text)
    return text
