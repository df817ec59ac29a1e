"""
Heads of the audit chain, kept outside its table: who cuts or rewrites the chain would have to change these, too.

A head is put if absent and never overwritten; keep the store's folder write-once and its deletion out of the hands of
whoever may write the database (design/adr/0098-anchors-outside-the-table.md).
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from psycopg import Connection
from psycopg.rows import class_row

from services.core.kit.errors import Unavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

FOLDER = "audit/anchors"

GONE = """
select a.seq, a.hash from unnest(%s::bigint[], %s::text[]) as a (seq, hash)
left join audit on audit.seq = a.seq and audit.hash = a.hash where audit.seq is null order by a.seq
"""


@dataclass(frozen=True, order=True)
class Anchor:
    """`seq:hash` of an entry that was once the newest."""

    seq: int
    hash: str

    @classmethod
    def of_head(cls, head: str) -> "Anchor":
        seq, _, digest = head.partition(":")
        return cls(int(seq), digest)


def keep(store: "ObjectStore", company: str, anchor: Anchor) -> bool:
    """Puts the anchor beside the others; False when it is there already."""
    import obstore
    from obstore.exceptions import AlreadyExistsError

    content = {"seq": anchor.seq, "hash": anchor.hash, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        obstore.put(store, _path(company, anchor), json.dumps(content).encode(), mode="create")
    except AlreadyExistsError:
        return False
    return True


def kept(store: "ObjectStore", company: str) -> list[Anchor]:
    """
    All anchors, oldest first; their names say all that is needed.

    Raises:
        Unavailable: the store does not answer; what cannot be compared is not said to be whole.
    """
    import obstore
    from obstore.exceptions import BaseError

    try:
        names = [item["path"] for page in obstore.list(store, f"{FOLDER}/{company}") for item in page]
    except BaseError as exc:
        raise Unavailable(
            f"The anchors could not be read ({type(exc).__name__}). Check POINTSMAN_OBJECTS_URL."
        ) from exc
    return sorted(_anchor(name) for name in names if name.endswith(".json"))


def gone(conn: Connection, anchors: list[Anchor]) -> list[Anchor]:
    """Those whose entry is not in the chain any more, or is another one."""
    cursor = conn.cursor(row_factory=class_row(Anchor))
    return cursor.execute(GONE, ([a.seq for a in anchors], [a.hash for a in anchors])).fetchall()


def _path(company: str, anchor: Anchor) -> str:
    return f"{FOLDER}/{company}/{anchor.seq:012d}-{anchor.hash}.json"


def _anchor(path: str) -> Anchor:
    seq, _, digest = path.rpartition("/")[2].removesuffix(".json").partition("-")
    return Anchor(int(seq), digest)
