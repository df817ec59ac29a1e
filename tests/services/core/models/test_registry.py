"""The registry on a real database and a real folder as object store."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from services.core.kit.errors import Conflict, InputInvalid, NotFound, Unavailable
from services.core.kit.objects import open_store
from services.core.models import registry
from services.core.models.bundle import load_bundle
from services.core.models.manifest import ENCODER_FILE, read_manifest, write_manifest
from tests.services.trainer.bundles import small_bundle


@pytest.fixture
def conn(database: str):
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


@pytest.fixture
def store(tmp_path: Path):
    return open_store(f"file://{tmp_path}/objects")


@pytest.fixture
def bundles(tmp_path: Path) -> list[Path]:
    """Three versions of one bundle."""
    folders = []
    for number in range(3):
        folder = shutil.copytree(small_bundle(), tmp_path / f"bundle-{number}")
        manifest = read_manifest(folder)
        write_manifest(folder, manifest.model_copy(update={"model_version": f"v{number}"}))
        folders.append(folder)
    return folders


def test_registering_twice_is_registering_once(conn, store, bundles):
    """The second upload finds everything there and changes nothing."""
    assert registry.register(conn, store, bundles[0]) == "v0"
    assert registry.register(conn, store, bundles[0]) == "v0"
    assert [record.status for record in registry.versions(conn)] == ["candidate"]
    assert registry.champion(conn) is None


def test_same_version_with_other_content_is_refused(conn, store, bundles):
    registry.register(conn, store, bundles[0])
    with (bundles[0] / ENCODER_FILE).open("ab") as file:
        file.write(b"x")
    with pytest.raises(Conflict, match="Train again"):
        registry.register(conn, store, bundles[0])


def test_there_is_one_champion(conn, store, bundles):
    """Promotion archives the one before."""
    registry.register(conn, store, bundles[0])
    registry.register(conn, store, bundles[1])
    for version in ("v0", "v1", "v1"):
        registry.promote(conn, version)
    assert registry.champion(conn).version == "v1"
    assert registry.find(conn, "v0").status == "archived"


def test_rollback_walks_back_through_the_champions(conn, store, bundles):
    """Each rollback goes one champion further back; at the first it says so and leaves it in service."""
    for number, folder in enumerate(bundles):
        registry.register(conn, store, folder)
        registry.promote(conn, f"v{number}")
    assert registry.rollback(conn, store) == "v1"
    assert registry.rollback(conn, store) == "v0"
    with pytest.raises(NotFound, match="no earlier champion"):
        registry.rollback(conn, store)
    assert registry.champion(conn).version == "v0"


def test_promotions_at_once_leave_one_champion(conn, store, bundles, database):
    """Two people promote two versions at the same moment, twenty times over: none fails, one wins."""
    for folder in bundles:
        registry.register(conn, store, folder)

    def promote(version: str) -> None:
        with psycopg.connect(database) as other:
            registry.promote(other, version)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(promote, ["v0", "v1", "v2", "v1"] * 5))
    assert sorted(record.status for record in registry.versions(conn)) == ["archived", "archived", "champion"]


def test_unknown_version_is_named(conn):
    with pytest.raises(NotFound, match="'v9'"):
        registry.promote(conn, "v9")


def test_fetched_bundle_works(conn, store, bundles, tmp_path):
    """What was registered comes back whole, and from the cache without the store."""
    registry.register(conn, store, bundles[0])
    record = registry.promote(conn, "v0")
    folder = registry.fetch(store, record, tmp_path / "cache")
    assert load_bundle(folder).version == "v0"
    shutil.rmtree(tmp_path / "objects")
    assert registry.fetch(store, record, tmp_path / "cache") == folder


def test_damaged_cache_is_fetched_again(conn, store, bundles, tmp_path):
    registry.register(conn, store, bundles[0])
    record = registry.promote(conn, "v0")
    folder = registry.fetch(store, record, tmp_path / "cache")
    (folder / ENCODER_FILE).write_bytes(b"half a file")
    assert load_bundle(registry.fetch(store, record, tmp_path / "cache")).version == "v0"


def test_damaged_object_is_never_loaded(conn, store, bundles, tmp_path):
    """A file changed in the store fails its checksum; nothing is left in the cache."""
    registry.register(conn, store, bundles[0])
    record = registry.promote(conn, "v0")
    stored = tmp_path / "objects" / record.uri / ENCODER_FILE
    stored.write_bytes(stored.read_bytes()[:-1] + b"x")
    with pytest.raises(Unavailable, match="checksum"):
        registry.fetch(store, record, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_missing_object_is_named(conn, store, bundles, tmp_path):
    registry.register(conn, store, bundles[0])
    record = registry.promote(conn, "v0")
    (tmp_path / "objects" / record.uri / ENCODER_FILE).unlink()
    with pytest.raises(Unavailable, match=ENCODER_FILE):
        registry.fetch(store, record, tmp_path / "cache")


def test_folder_that_is_no_bundle_is_refused(conn, store, tmp_path):
    with pytest.raises(InputInvalid, match=r"manifest\.json"):
        registry.register(conn, store, tmp_path)


def test_cards_come_from_beside_the_bundle(conn, store, bundles, tmp_path: Path):
    """Those of this version; of one that was trained before there were cards it is said."""
    registry.register(conn, store, bundles[0])
    record = registry.find(conn, "v0")
    with pytest.raises(NotFound, match="before there were any"):
        registry.fetch_card(store, record, tmp_path / "cards")
    for name in ("model.html", "reliability.png"):
        store.put(f"models/v0/card/{name}", name.encode())
    store.put("models/v01/card/other.html", b"")
    assert registry.fetch_card(store, record, tmp_path / "cards") == ["model.html", "reliability.png"]
    assert (tmp_path / "cards" / "model.html").read_bytes() == b"model.html"
