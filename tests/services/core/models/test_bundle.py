"""A trained bundle, loaded and asked."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.core.contracts.prediction import Band
from services.core.kit.errors import InputInvalid
from services.core.models.bundle import RouterModel, load_bundle
from services.core.models.manifest import BUNDLE_FILES, MANIFEST_FILE
from tests.services.trainer.bundles import made_up_tickets, other_bundle, small_bundle

FRESH = made_up_tickets(80, seed=99, rare=0)


@pytest.fixture(scope="module")
def model() -> RouterModel:
    return load_bundle(small_bundle())


def test_routes_tickets_it_has_not_seen(model: RouterModel):
    """New tickets of known groups go to their group, most of them without review."""
    found = model.predict([row.text for row in FRESH])
    assert np.mean([p.group == row.group for p, row in zip(found, FRESH, strict=True)]) >= 0.95
    assert np.mean([p.band is Band.AUTO_ROUTE for p in found]) >= 0.5
    assert {p.model_version for p in found} == {model.manifest.model_version}


def test_foreign_text_goes_to_a_person(model: RouterModel):
    """Text about nothing the company handles is never routed by itself."""
    foreign = ["The sonata in B minor was played on a harpsichord.", "zzzz qqqq xxxx", "", "🦜🦜🦜"]
    assert all(p.band is not Band.AUTO_ROUTE for p in model.predict(foreign))


def test_top_three_are_ordered_and_calibrated(model: RouterModel):
    """Three groups, falling probabilities that sum to at most 1."""
    for prediction in model.predict([row.text for row in FRESH[:8]]):
        values = [scored.probability for scored in prediction.top]
        assert len(values) == 3
        assert values == sorted(values, reverse=True)
        assert sum(values) <= 1 + 1e-5


def test_one_pass_gives_both(model: RouterModel):
    """`infer` answers what `predict` and `embed` answer."""
    texts = [row.text for row in FRESH[:5]]
    found = model.infer(texts)
    assert found.predictions == model.predict(texts)
    np.testing.assert_allclose(found.embeddings, model.embed(texts), atol=1e-6)
    assert found.embeddings.shape == (5, model.manifest.embedding_size)
    assert found.embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-5)


def test_company_in_a_batch_hardly_matters(model: RouterModel):
    """int8 activations are scaled per batch: alone or in any order, the group is the same and the rest within 0.05."""
    texts = [row.text for row in FRESH[:40]]
    together = model.predict(texts)
    backwards = model.predict(texts[::-1])[::-1]
    alone = [model.predict([text])[0] for text in texts]
    for a, b, c in zip(together, backwards, alone, strict=True):
        assert a.group == b.group == c.group
        assert a.confidence == pytest.approx(b.confidence, abs=0.05) == pytest.approx(c.confidence, abs=0.05)


def test_a_megabyte_is_read_from_its_start(model: RouterModel):
    """A body of the largest size is answered, by its beginning."""
    text = FRESH[0].text + " filler" * 150_000
    assert model.predict([text])[0].top[0].group in model.manifest.labels


def test_cold_start_bundle_works():
    """Few tickets, frozen encoder: still routed better than chance, still embeddings."""
    model = load_bundle(other_bundle())
    assert model.manifest.encoder == "frozen"
    assert model.manifest.pooling.encoder_weight == 0
    found = model.infer([row.text for row in FRESH])
    right = np.mean([p.group == row.group for p, row in zip(found.predictions, FRESH, strict=True)])
    assert right >= 0.8
    assert found.embeddings.shape[1] == model.manifest.embedding_size


def test_empty_batch_is_refused(model: RouterModel):
    with pytest.raises(InputInvalid, match="at least one"):
        model.predict([])


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_missing_file_is_named(name: str, tmp_path: Path):
    folder = shutil.copytree(small_bundle(), tmp_path / "bundle")
    (folder / name).unlink()
    with pytest.raises(InputInvalid, match=name):
        load_bundle(folder)


@pytest.mark.parametrize("content", [None, "not json", "{}", '{"format": 2}'])
def test_foreign_manifest_is_explained(content: str | None, tmp_path: Path):
    if content is not None:
        (tmp_path / MANIFEST_FILE).write_text(content)
    with pytest.raises(InputInvalid, match=r"manifest\.json"):
        load_bundle(tmp_path)


def test_bundle_holds_no_code():
    """Only ONNX, safetensors and JSON: nothing that runs when it is read."""
    assert {path.suffix for path in small_bundle().iterdir() if path.is_file()} == {".onnx", ".safetensors", ".json"}


def test_newer_manifest_fields_are_ignored(tmp_path: Path):
    folder = shutil.copytree(small_bundle(), tmp_path / "bundle")
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest | {"added_later": 1}))
    assert load_bundle(folder).version == manifest["model_version"]


def test_serving_needs_no_training_library():
    """Loading and asking a bundle imports none of the heavy libraries."""
    program = (
        "import sys; from pathlib import Path; from services.core.models.bundle import load_bundle;"
        f"load_bundle(Path({str(small_bundle())!r})).predict(['vpn']);"
        "print([m for m in ('torch','transformers','sklearn','scipy','pandas','onnx','psycopg') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
