"""The word lists beside this file, each read once."""

from functools import cache
from importlib.resources import files


@cache
def words(name: str) -> frozenset[str]:
    """Every word of `words/<name>.txt`, lower case."""
    return frozenset(word.lower() for line in _lines(name) for word in line.split())


@cache
def phrases(name: str) -> tuple[str, ...]:
    """Every line of `words/<name>.txt`, longest first."""
    return tuple(sorted(_lines(name), key=len, reverse=True))


@cache
def places() -> frozenset[str]:
    """Every country, region and large city of the list, lower case."""
    return frozenset(phrase.lower() for phrase in phrases("places"))


def _lines(name: str) -> list[str]:
    text = files("services.core.text.recognisers").joinpath("words", f"{name}.txt").read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
