"""A resource type is recorded once, and nothing about it can be forgotten in silence: each part is left out in turn."""

import re
from pathlib import Path

import pytest
import yaml

import infra.kinds
from cost.book import load_book
from cost.rules import _OWN as OWN_PRICES
from cost.rules import RULES as PRICES
from infra.kinds import QUESTIONS, kinds, read_kinds
from infra.offline.plan import CLOUDS
from infra.offline.posture import posture
from infra.offline.sdk import args_class, input_fields
from infra.policies.rules import check_stack
from services.core.kit.errors import ConfigurationInvalid
from tests.planned import PROFILES, Plans

BY_OPTION = {"aws:rds/cluster:Cluster", "aws:rds/clusterInstance:ClusterInstance"}  # Aurora: database.scaling_*
FOLDER = Path(infra.kinds.__file__).parent


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_planned_type_is_recorded_and_every_record_is_planned(plans: Plans, cloud: str) -> None:
    """No type is unknown; a setting nobody makes any more is found as well, but for what options bring."""
    planned = {r.type for profile in PROFILES for r in plans[cloud, profile].resources}
    assert planned <= kinds(cloud).all
    assert set(kinds(cloud).services) - BY_OPTION <= planned


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_service_is_priced_or_says_why_not(cloud: str) -> None:
    """A price rule or a reason, never both; a setting has no rule."""
    priced, known = set(PRICES[cloud]), kinds(cloud)
    assert {type_ for type_, s in known.services.items() if not s.free} <= priced
    assert not priced & set(known.free)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_answer_left_out_is_an_error_that_names_it(cloud: str, tmp_path: Path) -> None:
    """Key, TLS, way in and tags of every service, one after the other."""
    text, left_out = (FOLDER / f"{cloud}.yaml").read_text("utf-8"), tmp_path / "left-out.yaml"
    for type_ in yaml.safe_load(text)["services"]:
        for question in QUESTIONS:
            raw = yaml.safe_load(text)
            del raw["services"][type_][question]
            left_out.write_text(yaml.safe_dump({**raw, "services": {type_: raw["services"][type_]}}))
            with pytest.raises(ConfigurationInvalid, match=f"(?s){re.escape(type_)}`?.{question}.*Field required"):
                read_kinds(left_out)


@pytest.mark.parametrize("claim", ["{}", "{at: kmsKeyId, none: no reason}"])
def test_a_claim_says_where_or_why_not(claim: str, tmp_path: Path) -> None:
    """Neither is forgetting, both is a contradiction."""
    file = tmp_path / "kinds.yaml"
    other = "{none: because}"
    fields = f"{{key: {claim}, tls: {other}, private: {other}, tags: {other}}}"
    file.write_text(f"services: {{'aws:sqs/queue:Queue': {fields}}}\nsettings: {{}}\n")
    with pytest.raises(ConfigurationInvalid, match="say either `at`"):
        read_kinds(file)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_type_without_a_record_is_never_called_private_or_encrypted(plans: Plans, cloud: str) -> None:
    """An unknown cache: the finding says what to write where, the posture says no."""
    plan = plans[cloud, "prod"]
    stranger = plan.resources[0].model_copy(update={"type": f"{cloud}:cache/cache:Cache", "urn": "urn:cache"})
    with_it = plan.model_copy(update={"resources": (*plan.resources, stranger)})
    findings = tuple(f for f in check_stack(with_it) if f.policy == "EQ-003")
    assert [f.resource for f in findings] == ["urn:cache"]
    assert f"infra/kinds/{cloud}.yaml" in findings[0].message
    answers = posture(with_it.model_copy(update={"findings": findings}))
    assert answers["private"] == answers["encrypted"] == "NO: EQ-003"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_record_names_inputs_that_the_type_has(cloud: str) -> None:
    """A misspelt path would read as "not set" and, in a profile that is not asked, as nothing at all."""
    for type_, service in kinds(cloud).services.items():
        known = input_fields(args_class(type_))
        for claim in map(service.claim, QUESTIONS):
            for path in filter(None, (claim.at, claim.when.at if claim.when else "")):
                assert path.split(".")[0] in known, f"{type_} has no input {path}"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_hourly_price_has_its_row_and_no_second_rule(cloud: str) -> None:
    """Said in the record, and nowhere else."""
    hourly = {type_: s.hourly for type_, s in kinds(cloud).services.items() if s.hourly}
    assert all(price.row in load_book(cloud) for price in hourly.values())
    assert not set(hourly) & set(OWN_PRICES[cloud])
    assert not [type_ for type_, s in kinds(cloud).services.items() if s.hourly and s.free]
