"""Which files an index is made of: those of a bucket, or those that really are in a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from services.core.search.parse import READERS

if TYPE_CHECKING:
    from obstore.store import ObjectStore


@dataclass(frozen=True)
class Found:
    """Path and size of every file whose ending somebody here reads, in order; `links` lead out of the folder."""

    files: tuple[tuple[str, int], ...]
    links: tuple[str, ...] = ()


def find(store: "ObjectStore") -> Found:
    """What `store` holds. A folder's links are not followed out of it: who may write there may not read all here."""
    from obstore.store import LocalStore

    if isinstance(store, LocalStore) and store.prefix is not None:
        return _in_folder(Path(store.prefix))
    metas = (meta for batch in store.list() for meta in batch)
    return Found(tuple(sorted((meta["path"], meta["size"]) for meta in metas if _is_read(meta["path"]))))


def _in_folder(folder: Path) -> Found:
    root, files, links = folder.resolve(), [], []
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            links.append(name)
        elif path.is_file() and _is_read(name):
            files.append((name, path.stat().st_size))
    return Found(tuple(sorted(files)), tuple(sorted(links)))


def _walk(folder: Path) -> Iterator[Path]:
    """Files and links; a link to a folder is not entered: what it leads to is outside, or met at its own place."""
    for at, folders, names in os.walk(folder):
        yield from (Path(at, name) for name in names)
        yield from (linked for name in folders if (linked := Path(at, name)).is_symlink())


def _is_read(path: str) -> bool:
    return "." + path.rpartition(".")[2].lower() in READERS
