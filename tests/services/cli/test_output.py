"""What customers write stands in tables as they wrote it, and does nothing to the terminal."""

import pytest

from services.cli.output import PIPE_COLUMNS, print_table


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("[/b] hello", "[/b] hello"),
        ("[red]urgent[/red]", "[red]urgent[/red]"),
        ("a\x1b]0;owned\x07b\x1b[2J", "a]0;ownedb[2J"),
        ("safe \u202etxt.exe", "safe txt.exe"),
        (None, ""),
    ],
)
def test_cells_are_text(capsys: pytest.CaptureFixture[str], subject: str | None, shown: str) -> None:
    """No markup is read, no control character gets out."""
    print_table(("id", "subject"), [(7, subject)])
    assert capsys.readouterr().out.splitlines()[1].split(maxsplit=1) == ["7", *([shown] if shown else [])]


def test_a_pipe_gets_tables_of_its_width(capsys: pytest.CaptureFixture[str]) -> None:
    """Narrow ones as they are, long cells folded, nothing cut."""
    print_table(("a",), [("x",)])
    assert max(map(len, capsys.readouterr().out.splitlines())) == 1
    print_table(("a",), [("y" * 3 * PIPE_COLUMNS,)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) == PIPE_COLUMNS
    assert "".join(lines).count("y") == 3 * PIPE_COLUMNS
