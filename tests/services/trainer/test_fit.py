"""The whole fit on a small encoder: what is written, and that it can be repeated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.core.kit.errors import ConfigurationInvalid
from services.core.models.bundle import load_bundle
from services.core.models.manifest import read_manifest
from services.core.models.registry import read_lineage
from services.core.models.texts import text_key
from services.trainer.config import fine_tunings_for
from services.trainer.export import export_tuned
from services.trainer.fit import SPLIT, SPLIT_FILE, fit, fit_stages, read_judged
from services.trainer.prepare import dataset_sha256
from services.trainer.run import open_run
from tests.services.trainer.bundles import made_up_tickets, other_bundle, small_bundle, small_config, tiny_encoder


def test_manifest_tells_what_was_done():
    """Labels, data, seed, checksums and figures: enough to judge the version without opening anything else."""
    manifest = read_manifest(small_bundle())
    rows = made_up_tickets(400)
    assert manifest.labels == ("Access", "Hardware", "Legal", "Network", "Payroll")
    assert manifest.low_volume_labels == ("Legal",)
    assert manifest.bands.thresholds["Legal"] is None
    assert manifest.dataset_rows == len(rows)
    assert manifest.dataset_sha256 == dataset_sha256(rows)
    assert manifest.encoder == "finetuned"
    assert manifest.metrics["epochs"] == 2
    assert manifest.metrics["int8_accuracy_lost"] <= 0.005
    assert manifest.metrics["accuracy"] >= 0.9
    assert manifest.metrics["held_out_rows"] + manifest.metrics["train_rows"] == len(rows)
    assert manifest.risk_coverage[-1][0] == 1.0
    assert read_lineage(small_bundle()) == {text_key(row.text) for row in rows}


def test_same_data_and_seed_give_the_same_files(tmp_path: Path):
    """Repeated with a fixed number of epochs, every file is equal to the byte."""
    fit(made_up_tickets(400), tmp_path / "again", small_config(), lambda stage, fraction, detail: None)
    assert read_manifest(tmp_path / "again").files == read_manifest(small_bundle()).files


def test_the_mean_of_the_fine_tunings_is_judged_and_served(tmp_path: Path):
    """Each has a seed of its own, and none has read the rows that judge."""
    config, rows = small_config(fine_tunings=2, epochs=1, base_model=str(tiny_encoder())), made_up_tickets(240)

    def said(stage: str, fraction: float, detail: str) -> None:
        """Nobody listens."""

    with open_run(tmp_path / "run", "one") as run:
        fit_stages(run, lambda: rows, config, said)
    split = SPLIT.validate_json((run.folder / "prepare" / SPLIT_FILE).read_bytes())
    alone = []
    for number in range(2):
        (folder := tmp_path / f"alone-{number}").mkdir()
        one = replace(config, fine_tunings=1, seed=config.seed + number)
        export_tuned(split, folder, one, kept=tmp_path / f"kept-{number}", progress=said)
        alone.append(bias_of(folder))
    assert np.abs(alone[0] - alone[1]).max() > 1e-4
    np.testing.assert_allclose(bias_of(run.folder / "finetune"), (alone[0] + alone[1]) / 2, atol=1e-6)
    served, judged = (run.folder / stage / "encoder.onnx" for stage in ("export", "finetune"))
    assert served.read_bytes() == judged.read_bytes()
    manifest = read_manifest(run.folder / "export")
    assert (manifest.metrics["fine_tunings"], manifest.bands) == (2, read_judged(run).bands)


@pytest.mark.parametrize(("rows", "fine_tunings"), [(200, 3), (5_000, 3), (5_001, 2), (200_000, 2)])
def test_who_has_few_tickets_has_them_read_by_one_more(rows: int, fine_tunings: int):
    assert fine_tunings_for(rows) == fine_tunings


def bias_of(folder: Path) -> NDArray[np.float32]:
    """What the graph adds to the groups' cosines; int8 leaves it as it was."""
    import onnx

    graph = onnx.load(folder / "encoder.onnx").graph
    (found,) = (one for one in graph.initializer if one.name == "bias")
    return onnx.numpy_helper.to_array(found)


def test_forty_tickets_make_a_first_router(tmp_path: Path):
    """The cold start: nothing is routed without review, but suggestions are there."""
    stages: dict[str, float] = {}
    manifest = fit(made_up_tickets(40), tmp_path / "cold", small_config(), lambda s, f, d: stages.update({s: f}))
    assert manifest.encoder == "frozen"
    assert set(stages.values()) == {1.0}
    assert list(stages) == ["prepare", "finetune", "evaluate", "calibrate", "export", "done"]
    prediction = load_bundle(tmp_path / "cold").predict(["vpn wifi firewall"])[0]
    assert prediction.group == "Network"
    assert prediction.band.value == "HUMAN_REVIEW"


def test_two_groups_of_two_tickets_are_enough(tmp_path: Path):
    """The least data that can be learned from."""
    rows = [row for row in made_up_tickets(8, rare=0) if row.group in ("Network", "Payroll")]
    manifest = fit(rows, tmp_path / "least", small_config(), lambda s, f, d: None)
    assert manifest.labels == ("Network", "Payroll")
    assert len(load_bundle(tmp_path / "least").predict(["vpn"])[0].top) == 2


def test_existing_folder_is_not_overwritten():
    with pytest.raises(ConfigurationInvalid, match="exists already"):
        fit(made_up_tickets(40), other_bundle(), small_config(), lambda s, f, d: None)
