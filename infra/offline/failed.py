"""What a program died of, in a sentence: what, where, and what to do when a made-up answer lacks what was asked."""

import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pulumi import Output

from services.core.kit.errors import ConfigurationInvalid

ROOT = Path(__file__).parents[2]
_PROGRAMS = ("infra", "k8s", "tests")
_LACKING = (LookupError, StopIteration, AttributeError)
_MADE_UP = (
    " The plan makes up what a cloud would answer, and what is asked for here is not in it: give the output its form "
    "in OUTPUTS of infra/offline/answers.py, or fill the dict that is asked."
)


def in_words(died: Exception) -> ConfigurationInvalid:
    """StopIteration reaches us as somebody else's error: what it died of is the last in the chain of causes."""
    chain = list(_causes(died))
    first = chain[-1]
    places = [place for exc in reversed(chain) for place in (_place(exc), *getattr(exc, "__notes__", ())) if place]
    fact = type(first).__name__ + (f": {first}" if str(first) else "")
    where = f" at {places[0]}" if places else ""
    return ConfigurationInvalid(f"The program failed{where}: {fact}.{_MADE_UP if isinstance(first, _LACKING) else ''}")


@contextmanager
def places_noted() -> Generator[None]:
    """An error on its way through the SDK's tasks loses where it was raised; it keeps its notes."""
    plain = Output.apply

    def apply(self: Output[Any], func: Callable[[Any], Any], run_with_unknowns: bool = False) -> Output[Any]:
        here = _near(sys._getframe(1))

        def noted(value: Any) -> Any:
            try:
                return func(value)
            except Exception as exc:
                exc.add_note(here)
                raise

        return plain(self, noted, run_with_unknowns)

    setattr(Output, "apply", apply)  # noqa: B010, the SDK's own, for as long as a program runs
    try:
        yield
    finally:
        setattr(Output, "apply", plain)  # noqa: B010


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Each once: what the SDK raises anew is its own context."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        yield exc
        seen.add(id(exc))
        exc = exc.__cause__ or exc.__context__


def _place(exc: BaseException) -> str:
    found = traceback.extract_tb(exc.__traceback__)
    return next((place for f in reversed(found) if (place := _ours(f.filename, f.lineno))), "")


def _near(frame: Any) -> str:
    """The innermost line of ours that leads to a frame."""
    while frame is not None:
        if place := _ours(frame.f_code.co_filename, frame.f_lineno):
            return place
        frame = frame.f_back
    return ""


def _ours(filename: str, line: int | None) -> str:
    """`infra/gcp/cache.py:41`; nothing of the plan itself, which stands around every program."""
    if not filename.startswith(f"{ROOT}/"):
        return ""
    near = filename.removeprefix(f"{ROOT}/")
    is_program = near.startswith(tuple(f"{folder}/" for folder in _PROGRAMS)) and not near.startswith("infra/offline/")
    return f"{near}:{line}" if is_program else ""
