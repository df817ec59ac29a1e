"""Brings a source up to date with a folder or bucket: new and changed files in, vanished ones out, no other touched."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from psycopg import AsyncConnection

from services.core.contracts.document import Document
from services.core.kit.errors import InputInvalid
from services.core.search import documents
from services.core.search.chunk import cut
from services.core.search.encoder import TextEncoder
from services.core.search.files import find
from services.core.search.parse import READERS, SIZE_MAX_BYTES, parse

if TYPE_CHECKING:
    from obstore.store import ObjectStore

READING = "2"  # another way to read or cut files is another number: then all of them are indexed again

Progress = Callable[[int, int, str], None]  # files done, files in all, the one in hand


@dataclass(frozen=True)
class Source:
    """
    Which files these are: `base_url` and the file's path make the address that answers link to.

    `acl` None keeps the rights that the source and each of its documents have; an empty one is for everybody.
    """

    name: str
    acl: tuple[str, ...] | None = None
    base_url: str = ""

    def __post_init__(self) -> None:
        """
        Raises:
            InputInvalid: `base_url` is no web address. Answers link to it, so it must not be a script.
        """
        url = self.base_url
        if url and not (_is_web_address(url) and url.isprintable() and " " not in url):
            raise InputInvalid(f"{url[:100]!r} is no web address. Begin it with https:// or http:// and a host.")


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
        InputInvalid: there is no file that anybody here can read, or it is not clear who may read a new one.
    """
    found = find(store)
    files = found.files
    if not files:
        known = " ".join(sorted(READERS))
        raise InputInvalid(f"No file to index: none ends in {known}. Name a folder or bucket that holds documents.")
    before, outcome = await documents.known(conn, source.name), Outcome()
    outcome.broken = {_uri(source, link): f"{link} is a link out of the folder: not followed." for link in found.links}
    rights = await _rights(conn, source, [_uri(source, path) for path, _ in files])
    for done, (path, size) in enumerate(files):
        progress(done, len(files), path)
        allowed = replace(source, acl=rights[_uri(source, path)])
        await _index_file(conn, encoder, store, allowed, path, size, before, outcome)
    gone = before.keys() - {_uri(source, path) for path, _ in files}
    outcome.removed = await documents.remove(conn, source.name, sorted(gone)) if gone else 0
    progress(len(files), len(files), "")
    return outcome


def fingerprint(content: bytes, acl: Sequence[str], encoder: str) -> str:
    """Changes with anything that would make the index differ."""
    head = "\0".join([READING, encoder, *sorted(set(acl)), ""])
    return hashlib.sha256(head.encode() + content).hexdigest()


async def _rights(conn: AsyncConnection[Any], source: Source, uris: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Who may read each: as told; else as before, and what is new as the rest of its source. Nothing is widened."""
    if source.acl is not None:
        return dict.fromkeys(uris, source.acl)
    before = await documents.rights(conn, source.name)
    audiences = set(before.values()) or await documents.audiences(conn, source.name) or {()}
    if len(audiences) > 1 and not before.keys() >= set(uris):
        raise InputInvalid(
            f"The documents of {source.name} are for different groups, so new ones need --acl: the groups, or everyone."
        )
    return {uri: before.get(uri, min(audiences)) for uri in uris}


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
        if not path.isprintable():
            raise InputInvalid(f"{path!r}: a name with line breaks or other signs that cannot be shown. Rename it.")
        if size > SIZE_MAX_BYTES:
            raise InputInvalid(f"{path}: {size:,} bytes; at most {SIZE_MAX_BYTES:,}. Split it.")
        content = bytes(store.get(path).bytes())
        sha256 = fingerprint(content, source.acl or (), encoder.version)
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
        acl=source.acl or (),
        chunks=cut(parsed.blocks, encoder.count),
    )


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _uri(source: Source, path: str) -> str:
    return f"{source.base_url.rstrip('/')}/{path}" if source.base_url else path
