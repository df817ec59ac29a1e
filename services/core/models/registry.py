"""
The model registry: a row per version in Postgres, the bundle's files in the object store.

Exactly one champion (a partial unique index enforces it); the caller owns the transaction.
Every function here works with connections that give tuples or dicts.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, LiteralString

from psycopg import Connection
from psycopg.rows import dict_row, tuple_row
from psycopg.types.json import Jsonb

from services.core.contracts.evidence import Evidence
from services.core.kit import audit
from services.core.kit.errors import Conflict, InputInvalid, NotFound, Unavailable
from services.core.models.card import CARD_FOLDER
from services.core.models.manifest import LINEAGE_FILE, MANIFEST_FILE, Manifest, read_manifest
from services.core.models.promotion import EARLIER, OFFER, SERVE
from services.core.models.texts import signed

if TYPE_CHECKING:
    from obstore.store import ObjectStore

WHY_NOT_ASKED = "the caller has asked the gates"
SELECT = (
    "select version, status, uri, manifest, metrics, created_at, promoted_at, gates, canary,"
    " cardinality(erased_keys) as erased"
    " from models "
)


@dataclass(frozen=True)
class Gate:
    """What a candidate was asked before it may serve, and the answer in a sentence."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class ModelRecord:
    """
    One registered version. `uri` is the prefix of its files in the object store.

    `gates`: empty until it was judged. `canary`: champion, since, state and reason, where it shadows or has shadowed
    live tickets. `erased`: how many texts it learnt from have been erased since.
    """

    version: str
    status: Literal["candidate", "champion", "archived"]
    uri: str
    manifest: Manifest
    metrics: dict[str, float]
    created_at: datetime
    promoted_at: datetime | None
    gates: tuple[Gate, ...] = ()
    erased: int = 0
    canary: dict[str, Any] | None = None

    @property
    def failed(self) -> tuple[Gate, ...]:
        return tuple(gate for gate in self.gates if not gate.passed)


def register(conn: Connection[Any], store: "ObjectStore", folder: Path) -> str:
    """
    Uploads a bundle and records it as a candidate; its version. Registering the same bundle twice is registering once.

    Raises:
        InputInvalid: `folder` is not a bundle. Conflict: the version exists with other content.
    """
    manifest = read_manifest(folder)
    uri = f"models/{manifest.model_version}"
    for name in (*manifest.file_names, MANIFEST_FILE):  # the manifest last: a prefix with a manifest is complete
        _put_if_absent(store, f"{uri}/{name}", (folder / name).read_bytes())
    keys = sorted(map(signed, read_lineage(folder)))
    values = (manifest.model_version, uri, Jsonb(manifest.model_dump(mode="json")), Jsonb(manifest.metrics), keys)
    conn.execute(
        "insert into models (version, status, uri, manifest, metrics, text_keys)"
        " values (%s, 'candidate', %s, %s, %s, %s) on conflict (version) do nothing",
        values,
    )
    record = find(conn, manifest.model_version)
    if record.manifest != manifest:
        raise Conflict(f"Model version {record.version} is registered with other content. Train again for a new one.")
    return record.version


def record_gates(conn: Connection[Any], version: str, gates: Sequence[Gate]) -> None:
    """What the candidate was asked, for everybody who looks at the registry."""
    conn.execute("update models set gates = %s where version = %s", (Jsonb([asdict(gate) for gate in gates]), version))


def record_evidence(conn: Connection[Any], version: str, evidence: Evidence) -> None:
    """What it was judged by, for people who look at it and move its thresholds."""
    values = (Jsonb(evidence.model_dump(mode="json")), version)
    conn.execute("update models set evidence = %s where version = %s", values)


def begin_canary(conn: Connection[Any], version: str) -> bool:
    """Lets a candidate shadow the champion from now on; False where there is no champion to shadow."""
    record, present = _lock(conn, version), champion(conn)
    if present is None or present.version == version:
        return False
    if record.canary is None or record.canary["state"] != "running":
        since = conn.cursor(row_factory=tuple_row).execute("select clock_timestamp()::text").fetchone()
        assert since is not None  # a select without from has one row
        record_canary(conn, version, {"champion": present.version, "since": since[0], "state": "running", "reason": ""})
    return True


def canaries(conn: Connection[Any]) -> list[ModelRecord]:
    """The candidates that shadow live tickets."""
    return _select(conn, "where canary ->> 'state' = 'running' order by created_at", ())


def record_canary(conn: Connection[Any], version: str, canary: dict[str, Any]) -> None:
    conn.execute("update models set canary = %s where version = %s", (Jsonb(canary), version))


def promote(conn: Connection[Any], version: str) -> ModelRecord:
    """
    Makes `version` the champion and archives the one before; its groups may be answered, unless they are switched off.

    Promoting the champion changes nothing. The gates, and the store's files, are the caller's to ask.
    """
    with conn.transaction():
        before = _serve(conn, version, is_back=False)
        if before != version:
            conn.execute(OFFER, (version,))
            _tell(conn, "model.promoted", find(conn, version), before)
    return find(conn, version)


def promote_judged(conn: Connection[Any], store: "ObjectStore", version: str, *, force: str = "") -> ModelRecord:
    """
    As `promote`, for people: one that did not pass its gates serves only with a reason, which the audit log keeps.

    Raises:
        Conflict: it was not judged, or did not pass; names the gates. Unavailable: no router could load it.
    """
    record = find(conn, version)
    is_forced = record.status != "champion" and bool(record.failed or not record.gates)
    if is_forced and not force.strip():
        why = ", ".join(f"{gate.name} ({gate.detail})" for gate in record.failed) or "it was never judged"
        raise Conflict(f"{version} has not passed its gates: {why}. Say why it may serve all the same: --force REASON")
    check_stored(store, record)
    if is_forced:
        detail = {"gates": ", ".join(gate.name for gate in record.failed) or "not judged", "why": force.strip()}
        audit.append_now(conn, audit.Entry("operator", "model.forced", f"model/{version}", detail))
    return promote(conn, version)


def rollback(conn: Connection[Any], store: "ObjectStore") -> str:
    """
    Puts back the champion that was promoted before the present one; its version.

    Raises:
        NotFound: there is none to go back to. Unavailable: no router could load it.
    """
    row = conn.cursor(row_factory=dict_row).execute(EARLIER).fetchone()
    if row is None:
        raise NotFound("There is no earlier champion to go back to. Train another: pointsman train")
    check_stored(store, find(conn, row["version"]))
    with conn.transaction():
        before = _serve(conn, row["version"], is_back=True)
        _tell(conn, "model.rolled_back", find(conn, row["version"]), before)
    return row["version"]


def champion(conn: Connection[Any]) -> ModelRecord | None:
    """The version in service, None before the first promotion."""
    rows = _select(conn, "where status = 'champion'", ())
    return rows[0] if rows else None


def find(conn: Connection[Any], version: str) -> ModelRecord:
    rows = _select(conn, "where version = %s", (version,))
    if not rows:
        raise NotFound(f"Model version '{version}' is not registered. Train and register one: pointsman train")
    return rows[0]


def versions(conn: Connection[Any]) -> list[ModelRecord]:
    """All versions, newest first."""
    return _select(conn, "order by created_at desc, version desc", ())


def fetch(store: "ObjectStore", record: ModelRecord, cache_dir: Path) -> Path:
    """
    The bundle as a local folder, from the cache when its files are whole.

    Raises:
        Unavailable: a file is missing in the store, or is not the one that was registered.
    """
    folder = cache_dir / record.version
    if not _damaged(folder, record.manifest):
        return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".fetch-") as scratch:
        part = Path(scratch, record.version)
        part.mkdir()
        for name in (*record.manifest.file_names, MANIFEST_FILE):
            (part / name).write_bytes(_get(store, f"{record.uri}/{name}"))
        if damaged := _damaged(part, record.manifest):
            named = ", ".join(f"{record.uri}/{name}" for name in damaged)
            raise Unavailable(
                f"Model {record.version} in the object store is damaged: a checksum differs in {named}."
                " Restore what was registered, or train again."
            )
        if folder.exists():
            folder.rename(Path(scratch, "damaged"))
        part.rename(folder)
    return folder


def check_stored(store: "ObjectStore", record: ModelRecord) -> None:
    """
    What a router does before it serves the version, for those who put it into service.

    Raises:
        Unavailable: as `fetch`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        fetch(store, record, Path(scratch))


def fetch_card(store: "ObjectStore", record: ModelRecord, folder: Path) -> list[str]:
    """
    The version's cards and plots into `folder`; their names.

    Raises:
        NotFound: it has none. Unavailable: nothing of the version is in the store. InputInvalid: `folder` is no
        place to write to.
    """
    _get(store, f"{record.uri}/{MANIFEST_FILE}")
    prefix = f"{record.uri}/{CARD_FOLDER}/"
    paths = sorted(found["path"] for page in store.list(prefix) for found in page)
    if not paths:
        raise NotFound(
            f"The object store has no card in {prefix}: {record.version} was trained before there were any, or the"
            " files were removed. Restore them, or train again."
        )
    cards = {Path(path).name: _get(store, path) for path in paths}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in cards.items():
            (folder / name).write_bytes(content)
    except OSError as exc:
        raise InputInvalid(
            f"{folder} cannot be written to ({exc.strerror}). Name another folder: --out FOLDER"
        ) from exc
    return [*cards]


def read_lineage(folder: Path) -> frozenset[int]:
    """Keys of the texts a bundle was trained on: for fair comparison, and to know what an erasure affects."""
    from safetensors.numpy import load_file

    return frozenset(load_file(folder / LINEAGE_FILE)["text_keys"].tolist())


def _lock(conn: Connection[Any], version: str) -> ModelRecord:
    """The version, with promotions serialised until the caller's transaction ends."""
    conn.execute("select pg_advisory_xact_lock(hashtext('models'))")
    return find(conn, version)


def _serve(conn: Connection[Any], version: str, *, is_back: bool) -> str | None:
    """Puts it into service; the champion before."""
    find(conn, version)
    row = conn.cursor(row_factory=tuple_row).execute(SERVE, (version, is_back, WHY_NOT_ASKED)).fetchone()
    assert row is not None  # a select without from has one row
    return row[0]


def _tell(conn: Connection[Any], action: str, record: ModelRecord, before: str | None) -> None:
    """Which model decides from now on, and which files it is made of."""
    detail = {"before": before, "files": dict(record.manifest.files)}
    audit.append_now(conn, audit.Entry("operator", action, f"model/{record.version}", detail))


def _select(conn: Connection[Any], where: LiteralString, values: tuple[Any, ...]) -> list[ModelRecord]:
    statement = SELECT + where
    return [_record(row) for row in conn.cursor(row_factory=dict_row).execute(statement, values)]


def _record(row: dict[str, Any]) -> ModelRecord:
    gates = tuple(Gate(**gate) for gate in row["gates"])
    return ModelRecord(**{**row, "manifest": Manifest.model_validate(row["manifest"]), "gates": gates})  # ty: ignore[invalid-argument-type]  # a row's columns are the fields


def _put_if_absent(store: "ObjectStore", path: str, content: bytes) -> None:
    import obstore
    from obstore.exceptions import AlreadyExistsError

    try:
        obstore.put(store, path, content, mode="create")
    except AlreadyExistsError as exc:
        if bytes(obstore.get(store, path).bytes()) != content:
            raise Conflict(f"The object store holds another {path}. Train again for a new version.") from exc


def _get(store: "ObjectStore", path: str) -> bytes:
    import obstore
    from obstore.exceptions import BaseError

    try:
        return bytes(obstore.get(store, path).bytes())
    except FileNotFoundError as exc:
        raise Unavailable(f"The object store lacks {path}. Check POINTSMAN_OBJECTS_URL, or train again.") from exc
    except (OSError, BaseError) as exc:
        why = f"does not give {path} ({type(exc).__name__})"
        raise Unavailable(f"The object store {why}. Check POINTSMAN_OBJECTS_URL and who may read there.") from exc


def _damaged(folder: Path, manifest: Manifest) -> list[str]:
    """The files that are not there as the registry's manifest has them, the manifest itself included."""
    told = [] if _is_manifest(folder / MANIFEST_FILE, manifest) else [MANIFEST_FILE]
    return told + [name for name in manifest.file_names if _sha256(folder / name) != manifest.files.get(name)]


def _is_manifest(path: Path, manifest: Manifest) -> bool:
    try:
        return json.loads(path.read_bytes()) == manifest.model_dump(mode="json")
    except (OSError, ValueError):
        return False


def _sha256(path: Path) -> str:
    """Empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
