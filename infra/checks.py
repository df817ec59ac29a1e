"""One question to a cloud and its answer; shared by preflight (before `up`) and smoke (after it)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    MISSING = "missing"  # must be put right first
    WARNING = "warning"  # works, but someone should know
    UNKNOWN = "unknown"  # the cloud would not say


@dataclass(frozen=True)
class Outcome:
    name: str
    verdict: Verdict
    fact: str
    fix: str = ""


class NotAsExpected(Exception):
    """The cloud answered, and the answer is wrong. The message is the fact; `fix` says what to do."""

    def __init__(self, fact: str, *, fix: str = "", verdict: Verdict = Verdict.MISSING) -> None:
        super().__init__(fact)
        self.fact, self.fix, self.verdict = fact, fix, verdict


class NotThere(NotAsExpected):
    """The cloud knows nothing of that name."""


Check = Callable[[], str]  # the fact when all is well


def run_checks(checks: Iterable[tuple[str, Check]]) -> list[Outcome]:
    """Every check in turn; one that fails does not hide the next."""
    return [_run(name, check) for name, check in checks]


def _run(name: str, check: Check) -> Outcome:
    try:
        return Outcome(name, Verdict.OK, check())
    except NotAsExpected as exc:
        return Outcome(name, exc.verdict, exc.fact, exc.fix)
    except Exception as exc:  # a vendor's SDK raises what it likes, and the other checks must still run
        return Outcome(
            name, Verdict.UNKNOWN, f"{type(exc).__name__}: {str(exc).splitlines()[0][:200] if str(exc) else ''}"
        )
