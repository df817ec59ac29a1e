"""
The event lake: the events of a day as one Parquet file, for whoever has a query engine. Ids and numbers, no text.

The same day gives the same bytes, so writing it again changes nothing. It must not know where files go.
"""

import io
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING

from services.core.contracts.events import Event

if TYPE_CHECKING:
    import pyarrow

FOLDER = "events"


def key_of(day: date) -> str:
    """Where a day lies: the name of the folder is a partition that Hive, DuckDB, Athena and BigQuery read."""
    return f"{FOLDER}/day={day.isoformat()}/events.parquet"


def days_in(keys: Iterable[str]) -> set[date]:
    """The days that are there."""
    return {date.fromisoformat(part[4:]) for key in keys for part in key.split("/") if part.startswith("day=")}


def parquet(events: Sequence[Event]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet as files

    rows = [{"id": e.id, "type": e.type, "ticket_id": int(e.subject), "time": e.time, **e.data} for e in events]
    file = io.BytesIO()
    files.write_table(pa.Table.from_pylist(rows, schema=_schema()), file, compression="zstd")
    return file.getvalue()


def _schema() -> "pyarrow.Schema":
    """Every field of every event; a new one is added at the end, and is empty in older days."""
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("type", pa.string()),
            ("ticket_id", pa.int64()),
            ("time", pa.timestamp("us", tz="UTC")),
            ("group", pa.string()),
            ("proposed", pa.string()),
            ("verdict", pa.string()),
            ("band", pa.string()),
            ("priority", pa.string()),
            ("confidence", pa.float64()),
            ("model_version", pa.string()),
            ("shadow", pa.bool_()),
        ]
    )
