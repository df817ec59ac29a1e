"""
Whether a regular expression of somebody else has a bounded cost: Python's engine has no time-out.

It counts the ways in which the pattern can be tried at one place of a text. An engine that backtracks tries each at
most once, so the number bounds the work a character; `*`, `+` and `{2,}` have none.
"""

import re
import warnings
from collections.abc import Iterable
from typing import Any

WAYS_MAX = 2_000  # a character: a slice of 4,096 then takes under a second, whatever it holds
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")


def check_bounded(pattern: str) -> None:
    """
    Raises:
        ValueError: it is no regular expression, can match nothing, or may be tried in too many ways.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = re._parser.parse(pattern)  # ty: ignore[missing-attribute]  # the only way to read it as `re` does
            compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as exc:
        raise ValueError(f"'{pattern}' is no regular expression ({exc})") from exc
    if tree.getwidth()[0] == 0 or compiled.fullmatch(""):
        raise ValueError(f"'{pattern}' also finds nothing at all; make one part of it required")
    if (ways := _ways(tree)) > WAYS_MAX:
        raise ValueError(
            f"'{pattern}' can be tried in {'endless' if ways == float('inf') else 'over ' + str(WAYS_MAX)} ways at one"
            " place, which may take for ever; write {1,20} for + and {0,20} for *, and no repeat inside a repeat"
        )


def _ways(tree: Iterable[tuple[Any, Any]]) -> float:
    product = 1.0
    for operator, argument in tree:
        product *= _ways_of(str(operator), argument)
    return product


def _ways_of(operator: str, argument: Any) -> float:
    if operator in _REPEATS:
        return _repeated(*argument)
    if operator == "BRANCH":
        return sum(map(_ways, argument[1]))
    if operator == "SUBPATTERN":
        return _ways(argument[3])
    if operator in ("ASSERT", "ASSERT_NOT"):
        return max(1.0, _ways(argument[1]))
    if operator == "ATOMIC_GROUP":
        return _ways(argument)
    if operator == "GROUPREF_EXISTS":
        return _ways(argument[1]) + (_ways(argument[2]) if argument[2] else 1)
    return 1.0


def _repeated(low: int, high: Any, body: Any) -> float:
    if str(high) == "MAXREPEAT":
        return float("inf")
    ways = _ways(body)
    if ways == 1:
        return high - low + 1.0
    total = 0.0
    for times in range(low, high + 1):
        total += ways**times if times * ways < 10_000 else float("inf")
        if total > WAYS_MAX:
            return total
    return total
