"""
From a file's bytes to records: CSV with any usual delimiter and encoding, JSON lines, one JSON array; gzip or not.

Reads in a stream. It knows nothing of tickets: a record is a mapping of column to value, or the reason there is none.
"""

import codecs
import csv
import gzip
import json
import zlib
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

from services.core.contracts.ticket import BODY_MAX_CHARS
from services.core.kit.errors import InputInvalid

DELIMITERS = ",;\t|"
ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")  # the last one reads anything
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
GZIP_MARK = b"\x1f\x8b"
HEAD_BYTES = 65_536
CHUNK_BYTES = 1_048_576
ARRAY_RECORD_MAX_CHARS = 4 * BODY_MAX_CHARS  # longer means broken JSON, or one that must not fill the memory
COLUMN_SAMPLE = 100  # JSON records may leave fields out: columns are those of the first hundred

Record = dict[str, Any]


@dataclass(frozen=True)
class Malformed:
    """A record that cannot be read, and why."""

    why: str


@dataclass(frozen=True)
class TicketFile:
    """A file that was looked at. `kind` is csv, jsonl or array; `notice` tells what is unusual about it."""

    path: Path
    kind: str
    encoding: str
    delimiter: str = ","
    columns: tuple[str, ...] = ()
    notice: str | None = None


def inspect(path: Path) -> TicketFile:
    """
    Format, encoding and columns. Reads the whole file once to be sure of the encoding.

    Raises:
        InputInvalid: not a ticket file, empty, or cut off; the message says what to do.
    """
    with _readable(path), _open_bytes(path) as stream:
        head = stream.read(HEAD_BYTES)
    if not head.strip():
        raise InputInvalid(f"{path} is empty. It needs a header line and one line per ticket.")
    if b"\x00" in head[:1024] and not head.startswith(UTF16_MARKS):
        raise InputInvalid(f"{path} is not text (a spreadsheet or an archive?). Save it as CSV UTF-8 and try again.")
    encoding = _encoding(path, head)
    text = head.decode(encoding, errors="ignore").lstrip()
    kind = {"[": "array", "{": "jsonl"}.get(text[:1], "csv")
    notice = None if encoding.startswith("utf") else f"{path} is not UTF-8: read as {encoding}. Check the accents."
    found = TicketFile(path, kind, encoding, _delimiter(text), notice=notice)
    return replace(found, columns=_columns(found))


def records(file: TicketFile) -> Iterator[tuple[int, Record | Malformed]]:
    """
    Each record with the line it starts on (from 1).

    Raises:
        InputInvalid: the file ends within its compressed data, or its JSON array is broken beyond this point.
    """
    with _readable(file.path), _open_text(file) as stream:
        yield from READERS[file.kind](file, stream)


def count(file: TicketFile) -> int:
    """How many records there are, bad ones included: one fast pass, about a million lines in a few seconds."""
    return sum(1 for _ in records(file))


def _read_csv(file: TicketFile, stream: IO[str]) -> Iterator[tuple[int, Record | Malformed]]:
    csv.field_size_limit(max(csv.field_size_limit(), BODY_MAX_CHARS))
    lines = _Lines(stream)
    reader = csv.reader(lines, delimiter=file.delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            more = lines.give_back()
            follow = f"; the {more} lines that it swallowed are read by themselves" if more else ""
            yield line, Malformed(f"broken CSV: {exc}{follow}")
            continue
        if header is None:
            header = _named(cells)
        elif cells and len(cells) != len(header):
            yield line, Malformed(f"{len(cells)} fields where the header has {len(header)}")
        elif cells:
            yield line, dict(zip(header, cells, strict=True))


class _Lines:
    """
    A file's lines for a reader of records. A quote that nobody closed swallows what follows, to the end of the file if
    it must: the first line of such a record is lost, the others are read again as records of their own.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._again: deque[str] = deque()
        self._record: list[str] = []
        self._read = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self._record.append(self._again.popleft() if self._again else next(self._stream))
        self._read += 1
        return self._record[-1]

    def begin(self) -> int:
        """The number of the line that the next record starts on."""
        self._record = []
        return self._read + 1

    def give_back(self) -> int:
        """All of this record but its first line; how many lines these are."""
        swallowed = self._record[1:]
        self._again.extendleft(reversed(swallowed))
        self._read -= len(swallowed)
        return len(swallowed)


def _read_jsonl(file: TicketFile, stream: IO[str]) -> Iterator[tuple[int, Record | Malformed]]:
    for line, text in enumerate(stream, start=1):
        if text.strip():
            yield line, _parsed(text)


def _parsed(text: str) -> Record | Malformed:
    try:
        return _object(json.loads(text))
    except json.JSONDecodeError as exc:
        return Malformed(f"broken JSON: {exc.msg}, column {exc.colno}")
    except (ValueError, RecursionError) as exc:
        return Malformed(f"broken JSON: {exc}")


def _read_array(file: TicketFile, stream: IO[str]) -> Iterator[tuple[int, Record | Malformed]]:
    decoder, buffer, line = json.JSONDecoder(), stream.read(HEAD_BYTES), 1
    skipped = len(buffer) - len(buffer.lstrip("\ufeff \t\r\n")) + 1  # up to and with the opening bracket
    while True:
        line += buffer.count("\n", 0, skipped)
        buffer = buffer[skipped:]
        skipped = len(buffer) - len(buffer.lstrip(" \t\r\n,"))
        line += buffer.count("\n", 0, skipped)
        buffer = buffer[skipped:]
        if buffer.startswith("]"):
            return
        value, skipped, buffer = _next_value(decoder, buffer, stream, line=line, file=file)
        if skipped:
            yield line, _object(value)


def _next_value(
    decoder: json.JSONDecoder, buffer: str, stream: IO[str], *, line: int, file: TicketFile
) -> tuple[Any, int, str]:
    """The next value, its length and the buffer, grown until the value is whole. Length 0: only spaces so far."""
    wanted = HEAD_BYTES
    while True:
        try:
            value, end = decoder.raw_decode(buffer)
            if end < len(buffer):  # at the buffer's very end a number might go on
                return value, end, buffer
        except ValueError:
            pass
        except RecursionError as exc:
            raise InputInvalid(f"{file.path}: the record at line {line} is nested too deeply.") from exc
        more = stream.read(wanted)
        if not more or len(buffer) > ARRAY_RECORD_MAX_CHARS:
            raise InputInvalid(f"{file.path}: the JSON array breaks off or is broken in the record at line {line}.")
        if not buffer:
            return None, 0, more
        buffer += more
        wanted *= 2  # so that a long record is not parsed again and again


READERS = {"csv": _read_csv, "jsonl": _read_jsonl, "array": _read_array}


def _object(value: Any) -> Record | Malformed:
    return value if isinstance(value, dict) else Malformed(f"a JSON {type(value).__name__} where an object belongs")


def _named(header: list[str]) -> list[str]:
    return [cell.strip() or f"column_{i}" for i, cell in enumerate(header, start=1)]


def _columns(file: TicketFile) -> tuple[str, ...]:
    if file.kind == "csv":
        with _readable(file.path), _open_text(file) as stream:
            header = next(csv.reader(stream, delimiter=file.delimiter), [])
        return tuple(_named(header))
    found: dict[str, None] = {}
    for _, (_, record) in zip(range(COLUMN_SAMPLE), records(file), strict=False):
        if isinstance(record, dict):
            found |= dict.fromkeys(record)
    return tuple(found)


def _delimiter(text: str) -> str:
    """The one that splits the header most often, outside quotes."""
    header = "".join(text.partition("\n")[0].split('"')[::2])
    return max(DELIMITERS, key=header.count)


def _encoding(path: Path, head: bytes) -> str:
    if head.startswith(UTF16_MARKS):
        return "utf-16"
    return next(encoding for encoding in ENCODINGS if _decodes(path, encoding))


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with _readable(path), _open_bytes(path) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _open_bytes(path: Path) -> IO[bytes]:
    with path.open("rb") as probe:
        packed = probe.read(2) == GZIP_MARK
    return cast(IO[bytes], gzip.open(path, "rb")) if packed else path.open("rb")


def _open_text(file: TicketFile) -> TextIOWrapper:
    return TextIOWrapper(_open_bytes(file.path), encoding=file.encoding, newline="" if file.kind == "csv" else None)


@contextmanager
def _readable(path: Path) -> Generator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise InputInvalid(f"{path} is cut off or damaged inside its compression: {exc}. Export it again.") from exc
    except OSError as exc:
        raise InputInvalid(f"{path} cannot be read: {exc.strerror or exc}.") from exc
