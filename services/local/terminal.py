"""What tickets say, on a terminal: as it is, with no power over the terminal."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Control characters but line feed and tab (escape sequences start with one), and those that turn the reading direction.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def build_console(pipe_columns: int) -> "Console":
    """The terminal; a pipe has no width of its own, so it is given one."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=pipe_columns)


def plain(text: str) -> str:
    """The text without what a terminal would obey."""
    return _CONTROL.sub("", text)


def cell(value: Any, style: str = "") -> "Text":
    """A table's cell: no markup is read in it; None is empty."""
    from rich.text import Text

    return Text("" if value is None else plain(str(value)), style=style)
