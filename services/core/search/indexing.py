"""Brings a source up to date with a folder or bucket: new and changed files in, vanished ones out, no other touched."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection

from services.core.contracts.document import Document
from services.core.kit.errors import InputInvalid
from services.core.search import documents
from services.core.search.chunk import cut
from services.core.search.encoder import TextEncoder
from services.core.search.parse import READERS, SIZE_MAX_BYTES, parse

if TYPE_CHECKING:
    from obstore.store import ObjectStore

READING = "1"  # another way to read or cut files is another number: then all of them are indexed again

Progress = Callable[[int, int, str], None]  # files done, files in all, the one in hand


@dataclass(frozen=True)
class Source:
    """Which files these are: `base_url` and the file's path make the address that answers link to."""

    name: str
    acl: tuple[str, ...] = ()
    base_url: str = ""


@dataclass
class Outcome:
    """What an indexing run did, by address; `broken` also says why."""

    indexed: list[str] = field(default_factory=list)
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    broken: dict[str, str] = field(default_factory=dict)


async def index_store(
    conn: AsyncConnection[Any],
    encoder: TextEncoder,
    store: "ObjectStore",
    source: Source,
    *,
    progress: Progress = lambda done, total, name: None,
) -> Outcome:
    """
    Indexes every file, each in a transaction of its own. A broken one keeps what was indexed of it before, is reported
    and does not stop the others.

    Raises:
        InputInvalid: there is no file that anybody here can read.
    """
    files = list(_files(store))
    if not files:
        known = " ".join(sorted(READERS))
        raise InputInvalid(f"No file to index: none ends in {known}. Name a folder or bucket that holds documents.")
    before, outcome = await documents.known(conn, source.name), Outcome()
    for done, (path, size) in enumerate(files):
        progress(done, len(files), path)
        await _index_file(conn, encoder, store, source, path, size, before, outcome)
    gone = before.keys() - {_uri(source, path) for path, _ in files}
    outcome.removed = await documents.remove(conn, source.name, sorted(gone)) if gone else 0
    progress(len(files), len(files), "")
    return outcome


def fingerprint(content: bytes, acl: Sequence[str], encoder: str) -> str:
    """Changes with anything that would make the index differ."""
    head = "\0".join([READING, encoder, *sorted(set(acl)), ""])
    return hashlib.sha256(head.encode() + content).hexdigest()


async def _index_file(
    conn: AsyncConnection[Any],
    encoder: TextEncoder,
    store: "ObjectStore",
    source: Source,
    path: str,
    size: int,
    before: dict[str, str],
    outcome: Outcome,
) -> None:
    uri = _uri(source, path)
    try:
        if size > SIZE_MAX_BYTES:
            raise InputInvalid(f"{path}: {size:,} bytes; at most {SIZE_MAX_BYTES:,}. Split it.")
        content = bytes(store.get(path).bytes())
        sha256 = fingerprint(content, source.acl, encoder.version)
        if before.get(uri) == sha256:
            outcome.unchanged += 1
            return
        document = _document(encoder, source, uri, path, content, sha256)
    except InputInvalid as exc:
        outcome.broken[uri] = exc.message
        return
    vectors = encoder.embed([documents.embedded_text(document.title, chunk) for chunk in document.chunks])
    async with conn.transaction():
        await documents.put(conn, document, vectors, encoder=encoder.version)
    outcome.indexed.append(uri)
    outcome.chunks += len(document.chunks)


def _document(encoder: TextEncoder, source: Source, uri: str, path: str, content: bytes, sha256: str) -> Document:
    parsed = parse(path, content)
    return Document(
        source=source.name,
        uri=uri,
        title=parsed.title,
        kind=parsed.kind,
        content_sha256=sha256,
        acl=source.acl,
        chunks=cut(parsed.blocks, encoder.count),
    )


def _files(store: "ObjectStore") -> Iterator[tuple[str, int]]:
    """Path and size of every file whose ending somebody here reads, in order."""
    metas = [meta for batch in store.list() for meta in batch]
    for meta in sorted(metas, key=lambda meta: meta["path"]):
        if "." + meta["path"].rpartition(".")[2].lower() in READERS:
            yield meta["path"], meta["size"]


def _uri(source: Source, path: str) -> str:
    return f"{source.base_url.rstrip('/')}/{path}" if source.base_url else path
