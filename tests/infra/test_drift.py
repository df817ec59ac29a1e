"""The nightly drift job: it parses, previews stacks that exist and cannot change one."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.offline.plan import CLOUDS, STACKS

ROOT = Path(__file__).parents[2]
WORKFLOW, DESIGN = ROOT / ".github" / "workflows" / "drift.yml", ROOT / "design"


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]["preview"]


def test_every_cloud_is_watched_and_every_stack_exists(job: dict[str, Any]) -> None:
    """A stack that is renamed would otherwise fall out of the night unseen."""
    matrix = job["strategy"]["matrix"]
    assert set(matrix["cloud"]) == set(CLOUDS)
    assert all((STACKS / c / f"Pulumi.{s}.yaml").exists() for c, s in product(matrix["cloud"], matrix["stack"]))
    assert "prod" in matrix["stack"]


def test_a_difference_fails_the_job_and_nothing_is_changed(job: dict[str, Any]) -> None:
    """The one pulumi command is a preview that refreshes and expects no change."""
    (preview,) = [step for step in job["steps"] if "pulumi" in step.get("run", "")]
    assert preview["run"].startswith("pulumi preview ")
    assert {"--refresh", "--expect-no-changes"} <= set(preview["run"].split())
    assert preview["working-directory"] == "infra/stacks/${{ matrix.cloud }}"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_job_runs_what_the_guide_runs(job: dict[str, Any], cloud: str) -> None:
    """The same environment, the same policy pack: a night that checks less than a person did finds less."""
    guide = (DESIGN / "guides" / f"deploy-{cloud}.md").read_text("utf-8")
    runs = [step["run"] for step in job["steps"] if "run" in step]
    install, policies, preview = runs
    assert install == "python services/local/install.py test"  # what `make plan` of the guide does first
    assert "make plan" in guide
    assert policies.startswith("make policies")
    assert "make policies " in guide
    pack = "--policy-pack ../../policies"
    assert pack in preview
    assert f"pulumi preview {pack}" in guide


def test_sign_in_is_by_token_on_each_cloud(job: dict[str, Any]) -> None:
    """OIDC: the job may ask for a token, and no stored secret is named."""
    assert job["permissions"] == {"id-token": "write", "contents": "read"}
    signed_in = {step["if"] for step in job["steps"] if "if" in step}
    assert signed_in == {f"matrix.cloud == '{cloud}'" for cloud in CLOUDS}
    assert "secrets." not in WORKFLOW.read_text("utf-8")
