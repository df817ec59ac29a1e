"""`pointsman cost` as one types it, on plans that were saved, so that nothing is planned twice."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.offline.plan import CLOUDS
from infra.offline.report import Report, StackPlan
from services.cli.cost import app
from services.core.kit.errors import ConfigurationInvalid, InputInvalid
from tests.planned import planned

runner = CliRunner()


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "small.json"
    path.write_text(planned("small", tmp_path_factory).model_dump_json(), encoding="utf-8")
    return path


def run(*args: str | Path):
    return runner.invoke(app, [str(arg) for arg in args])


def test_three_clouds_stand_side_by_side_then_line_by_line(plan):
    result = run("--plan", plan, "--tickets", "1000,20000")
    assert result.exit_code == 0, result.output
    assert "aws small" in result.output
    assert "node m7g.large, spot" in result.output
    assert "not in the total: flow logs" in result.output


def test_one_cloud_alone_may_be_asked_for(plan):
    document = json.loads(run("--plan", plan, "--cloud", "gcp", "--format", "json", "--tickets", "1000").output)
    assert [estimate["cloud"] for estimate in document["estimates"]] == ["gcp"]


def test_csv_comes_out_as_csv(plan):
    rows = list(csv.DictReader(io.StringIO(run("--plan", plan, "--format", "csv", "--tickets", "1000").output)))
    assert {row["cloud"] for row in rows} == set(CLOUDS)


@pytest.mark.parametrize(("form", "name"), [("html", "c.html"), ("xlsx", "c.xlsx"), ("markdown", "c.md")])
def test_reports_are_written_where_one_says(plan, tmp_path, form, name):
    out = tmp_path / "reports" / name
    result = run("--plan", plan, "--format", form, "--out", out, "--tickets", "1000")
    assert result.exit_code == 0, result.output
    assert out.stat().st_size > 5_000


def test_pictures_are_drawn_into_a_folder(plan, tmp_path):
    assert run("--plan", plan, "--format", "png", "--out", tmp_path, "--tickets", "1000").exit_code == 0
    drawn = {path.name: path.read_bytes()[:8] for path in tmp_path.glob("*.png")}
    assert len(drawn) == 4
    assert set(drawn.values()) == {b"\x89PNG\r\n\x1a\n"}


def test_the_guard_passes_and_fails(plan):
    ok = run("check", "--plan", plan, "--profile", "small", "--tickets", "1000", "--max-per-ticket", "0.05")
    over = run("check", "--plan", plan, "--profile", "small", "--tickets", "1000", "--max-per-ticket", "0.04")
    assert (ok.exit_code, over.exit_code) == (0, 1)
    assert "over aws small" in over.output
    assert "node m7g.large, spot" in over.output


def test_a_scenario_changes_the_answer(plan, tmp_path):
    scenario = tmp_path / "high.yaml"
    scenario.write_text("level: high\n", encoding="utf-8")
    args = ("--plan", plan, "--tickets", "1000", "--format", "json")
    expected, high = (json.loads(run(*args, *extra).output)["estimates"] for extra in ((), ("--scenario", scenario)))
    assert all(e["monthly_usd"] < h["monthly_usd"] for e, h in zip(expected, high, strict=True))


def test_returns_stand_beside_published_figures(plan):
    result = run("roi", "--plan", plan, "--tickets", "5000")
    assert "Intercom Fin" in result.output
    assert "5,000" in result.output


def test_a_move_is_planned_from_the_stacks_themselves():
    """Without --plan: the one call here that runs the programs."""
    args = ("--from", "aws", "--to", "gcp", "--gb", "500", "--profile", "small", "--tickets", "1000")
    move = json.loads(run("migrate", *args, "--format", "json").output)
    assert move["lines"][0]["quantity"] == 550
    assert [step["order"] for step in move["steps"]] == list(range(1, 11))


@pytest.mark.parametrize(("form", "word"), [("markdown", "| 10 |"), ("table", "dual running")])
def test_a_move_is_shown_as_one_asks(plan, form, word):
    args = ("--from", "gcp", "--to", "azure", "--gb", "1", "--profile", "small", "--plan", plan)
    assert word in run("migrate", *args, "--format", form).output
    assert "table, json or markdown" in str(run("migrate", *args, "--format", "xlsx").exception)


def test_scenarios_stand_beside_list_prices(plan, tmp_path):
    ours = tmp_path / "ours.yaml"
    ours.write_text("name: our contract\nprices: {aws: {kms.key: '0.5'}}\n", encoding="utf-8")
    args = ("--plan", plan, "--profile", "small", "--tickets", "1000", "--cloud", "aws")
    output = run("compare", ours, *args).output
    assert "our contract" in output
    assert "encryption key -0.50" in output
    assert "-0.50" in output


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (("--tickets", "many"), InputInvalid, "no list of whole numbers"),
        (("--tickets", ""), InputInvalid, "no list of whole numbers"),
        (("--tickets", "1000", "--format", "xlsx"), InputInvalid, "--out cost.xlsx"),
        (("check", "--max-per-ticket", "cheap"), InputInvalid, "--max-per-ticket 'cheap'"),
        (("check", "--max-per-ticket", "nan"), InputInvalid, "no number"),
        (("--cloud", "ibm"), InputInvalid, "no stack ibm/small, only aws/small"),
        (("--profile", "prod"), InputInvalid, "no stack all/prod"),
        (("--scenario", "none.yaml"), ConfigurationInvalid, "cannot be read"),
    ],
)
def test_a_wrong_call_says_what_to_write(plan, args, error, message):
    command = [args[0]] if args[0] == "check" else []
    result = run(*command, "--plan", plan, *(["--profile", "small"] if command else []), *args[len(command) :])
    assert isinstance(result.exception, error)
    assert message in str(result.exception)


def test_a_file_that_is_no_plan_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"stacks": 1}', encoding="utf-8")
    result = run("--plan", path)
    assert "is no plan" in str(result.exception)
    assert "pointsman plan" in str(result.exception)


def test_a_stack_that_does_not_plan_has_no_price(tmp_path):
    broken = StackPlan(
        cloud="aws", profile="small", seconds=0, resources=(), contract={}, problems=("duplicate URN x",)
    )
    path = tmp_path / "broken.json"
    path.write_text(Report(stacks=(broken,), parity=()).model_dump_json(), encoding="utf-8")
    assert "does not plan: duplicate URN x" in str(run("--plan", path).exception)


def test_the_command_line_starts_without_pulumi():
    heavy = {"pulumi", "matplotlib", "openpyxl", "boto3", "cost"}
    code = f"import sys, services.cli.cost; print(sorted({{m.split('.')[0] for m in sys.modules}} & {heavy}))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
