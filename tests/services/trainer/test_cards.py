"""Model card and data card: what they show is what was measured, and no ticket's text lies in them."""

import io
import re

from PIL import Image

from services.core.contracts.evidence import Bin
from services.core.models.card import CARD_FOLDER
from services.core.models.manifest import read_manifest
from services.core.models.registry import Gate
from services.trainer import plots
from services.trainer.cards import Story, write_cards
from services.trainer.judge import Row
from services.trainer.prepare import prepare
from tests.services.trainer.bundles import heads_bundle, made_up_tickets, small_bundle

PLOTS = {"confusion.png", "learning_curve.png", "reliability.png", "risk_coverage.png"}


def test_a_training_leaves_its_cards_beside_the_bundle() -> None:
    folder = small_bundle() / CARD_FOLDER
    assert {path.name for path in folder.iterdir()} == {"model.html", "data.html"} | PLOTS
    for name in PLOTS:
        width, height = Image.open(folder / name).size
        assert width > 500
        assert height > 400


def test_the_pages_tell_the_manifests_figures_and_no_text() -> None:
    manifest = read_manifest(small_bundle())
    model, data = ((small_bundle() / CARD_FOLDER / name).read_text() for name in ("model.html", "data.html"))
    assert f"{manifest.metrics['accuracy']:.3f}" in model
    assert manifest.dataset_sha256 in data
    assert all(group in data for group in manifest.labels)
    assert len(re.findall("data:image/png", model)) == len(PLOTS)
    for row in made_up_tickets(400):
        assert row.text not in model + data


def test_what_it_says_beside_the_group_is_in_the_card() -> None:
    page = (heads_bundle() / CARD_FOLDER / "model.html").read_text()
    assert "mae_median_h" in page


def story(**changes: object) -> Story:
    facts = {
        "manifest": read_manifest(small_bundle()),
        "split": prepare(made_up_tickets(40)),
        "rows": (),
        "bins": (),
        "curve": (),
    }
    return Story(**(facts | changes))  # ty: ignore[invalid-argument-type]


def test_a_gate_that_was_not_passed_is_named(tmp_path) -> None:
    gates = (Gate("macro_f1", False, "<b>0.1</b> below 0.15"), Gate("latency", True, "fast"))
    page = (write_cards(story(gates=gates), tmp_path) / "model.html").read_text()
    assert "NOT passed" in page
    assert "&lt;b&gt;0.1&lt;/b&gt;" in page


def test_too_few_tickets_have_pages_without_plots(tmp_path) -> None:
    written = write_cards(story(), tmp_path)
    assert {path.name for path in written.iterdir()} == {"model.html", "data.html"}


def test_many_groups_are_shown_as_the_largest_and_the_rest() -> None:
    rows = [Row(at % 40, at % 40, 0.9, 0.9, True) for at in range(400)] + [Row(39, 0, 0.5, 0.5, True)] * 5
    table, names = plots.count(rows, [f"group {n}" for n in range(40)])
    assert len(names) == plots.SHOWN_GROUPS + 1
    assert names[0] == "group 0"
    assert names[-1] == plots.OTHERS
    assert table.sum() == len(rows)


def test_the_same_numbers_draw_the_same_picture() -> None:
    bins = (Bin(said=0.5, right=0.4, tickets=9), Bin(said=0.9, right=0.92, tickets=90))
    assert plots.reliability(bins) == plots.reliability(bins)
    assert Image.open(io.BytesIO(plots.reliability(bins))).format == "PNG"
