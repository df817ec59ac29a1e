"""Evaluation sets as files: JSON lines, or one JSON array, in any usual encoding."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from services.core.kit.errors import InputInvalid
from services.core.text.records import Malformed, Record, inspect, records

Found = TypeVar("Found", bound="Case")


class Case(BaseModel):
    """A line of a set; `noun` and `example` tell in errors what one is."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    noun: ClassVar[str]
    example: ClassVar[str]

    @classmethod
    def wanted(cls) -> str:
        return f"A set is JSON lines, one {cls.noun} a line, for example: {cls.example}"


def read_set(path: Path, kind: type[Found], notice: Callable[[str], None] = lambda _: None) -> list[Found]:
    """
    `notice` is told what is unusual about the file: an encoding that was guessed.

    Raises:
        InputInvalid: the file cannot be read, or a line is no case: line, field and what belongs there, no content.
    """
    file = inspect(path)
    if file.kind == "csv":
        raise InputInvalid(f"{path} is not JSON (it begins with neither {{ nor [). {kind.wanted()}")
    if file.notice:
        notice(file.notice)
    cases = [_case(f"{path}, line {line}", record, kind) for line, record in records(file)]
    if not cases:
        raise InputInvalid(f"{path} holds no {kind.noun}. {kind.wanted()}")
    return cases


def _case(where: str, record: Record | Malformed, kind: type[Found]) -> Found:
    if isinstance(record, Malformed):
        raise InputInvalid(f"{where}: {record.why}. {kind.wanted()}")
    try:
        return kind.model_validate(record)
    except ValidationError as exc:
        found = exc.errors(include_input=False, include_url=False, include_context=False)
        problems = (f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}" for one in found)
        raise InputInvalid(f"{where}: {'; '.join(problems)}. {kind.wanted()}") from None
