"""What an operator may write into Pulumi.<stack>.yaml, and how a mistake in it is answered."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infra.offline.plan import CLOUDS
from infra.preflight.local import load_settings
from infra.schema import settings_schema
from infra.settings import Settings, parse
from services.core.kit.errors import ConfigurationInvalid
from tests.golden import check_golden, filled
from tests.planned import PROFILES


def raw(cloud: str = "aws", profile: str = "prod", **changed: Any) -> dict[str, Any]:
    """A valid stack's settings as the file holds them, with a change."""
    settings = load_settings(cloud, profile)
    return {**json.loads(settings.model_dump_json(exclude={"cloud", "environment"})), **changed}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("cloud", CLOUDS)
def test_sample_stacks_parse(cloud: str, profile: str) -> None:
    """The nine files of the repository are valid."""
    assert load_settings(cloud, profile).profile == profile


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"network": {"zonse": 3}}, "network.zonse: Extra inputs are not permitted"),
        ({"protect": False}, "a prod stack must set protect"),
        ({"database": {"highly_available": False, "backup_days": 35}}, "must set database.highly_available"),
        ({"database": {"highly_available": True, "backup_days": 13}}, "database.backup_days >= 14"),
        (
            {"database": {"size": "small", "highly_available": True}},
            "a small database a standby; set database.size",
        ),
        ({"database": {"size": "compact", "highly_available": True}}, "gives a compact database a standby"),
        ({"cluster": {"size": "large"}}, "cluster.size: EKS Auto Mode goes by what pods ask; leave it out"),
        ({"cluster": {"memory_gib": 16}}, "cluster.memory_gib is the one machine of small; set cluster.size"),
        ({"cluster": {"memory_gib": 5}}, "cluster.memory_gib: Input should be 4, 8 or 16"),
        ({"database": {"scaling_min": 8, "scaling_max": 2}}, "scaling_min 8.0 is above scaling_max 2.0"),
        ({"database": {"scaling_max": 2}}, "scaling_min and scaling_max go together"),
        ({"cluster": {"kind": "single-node"}}, "cluster.kind: Extra inputs are not permitted"),
        ({"models": {"names": ["global.amazon.nova-lite-v1:0"]}}, "`global.` profiles leave"),
        ({"cluster": {"api_allowed_cidrs": ["203.0.113.0/24"]}}, "api_allowed_cidrs is operators.cidrs now"),
        ({"operators": {"cidrs": ["0.0.0.0/0"]}}, r"operators.cidrs: 0.0.0.0/0 holds addresses that no cloud sees"),
        ({"operators": {"cidrs": ["10.1.0.0/16"]}}, "name the public network people come from"),
        ({"operators": {"principals": ["bob"]}}, "aws knows nobody called .*bob.*; write arn:aws:iam"),
        (
            {"edge": {"domain": "a.example.com", "zone": "example.com"}},
            "is no DNS zone of aws; write the hosted",
        ),
        ({"edge": {"chat": "public"}}, "at a name under edge.domain"),
        ({"edge": {"domain": "a.example.com", "chat_origins": ["https://b.example.com"]}}, "edge.chat keeps inside"),
        ({"edge": {"chat": "yes"}}, "edge.chat: Input should be 'off', 'keys' or 'public'"),
        ({"edge": {"zone": "Z0123456789"}}, "name the domain as well"),
        ({"edge": {}}, "a managed cluster needs edge.domain"),
        ({"region": "eu-west-1"}, "region 'eu-west-1' is not in allowed_regions"),
        ({"observability": {"log_days": 31}}, "observability.log_days: Input should be 30"),
        ({"options": {"images": {"gatway": "x"}}}, r"names no container of ours: \['gatway'\]"),
        ({"budget": {"usd_per_month": 0}}, "budget.usd_per_month: Input should be greater than 0"),
        ({"application": "Point_sman"}, "application: String should match pattern"),
        ({"identity": {"permissions_boundary_arn": "boundary"}}, "permissions_boundary_arn: String should match"),
    ],
)
def test_mistake_is_answered_with_field_and_fix(changed: dict[str, Any], words: str) -> None:
    """One error names the file, the field and what is wrong."""
    with pytest.raises(ConfigurationInvalid, match=words) as found:
        parse("aws", "prod", raw(**changed))
    assert "Pulumi.prod.yaml of aws" in found.value.message


def test_small_refuses_what_would_break_its_price() -> None:
    """A NAT gateway or a managed control plane is a third of the budget each."""
    with pytest.raises(ConfigurationInvalid, match=r"network\.nat: none"):
        parse("aws", "small", raw(profile="small", network={"nat": "single"}))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"database": {"scaling_min": 1, "scaling_max": 2, "highly_available": True}},
            "only Aurora scales",
        ),
        ({"network": {"nat": "none"}}, "AKS goes out through a NAT gateway"),
        ({"observability": {"log_days": 400, "alert_email": "a@b.c"}}, "flow logs end at 365 days"),
        (
            {
                "network": {
                    "existing": {"id": "v", "cidr": "10.0.0.0/8", "node_subnet_ids": ["n"], "data_subnet_ids": ["d"]}
                }
            },
            "linked to one zone of a name",
        ),
    ],
)
def test_what_azure_would_refuse_is_an_error_of_the_settings(changed: dict[str, Any], words: str) -> None:
    """Each planned clean and was refused, the last two after half an hour."""
    with pytest.raises(ConfigurationInvalid, match=words):
        parse("azure", "prod", raw("azure", **changed))


def test_a_managed_stack_on_aws_spans_two_zones() -> None:
    """One subnet is refused by EKS and by the balancer; prod asks for two anyway."""
    with pytest.raises(ConfigurationInvalid, match="EKS, its balancer and its database want two zones"):
        parse("aws", "dev", raw(profile="dev", network={"zones": 1}))


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"size": "large"}, "set cluster.memory_gib: 4, 8 or 16"),
        ({"memory_gib": 4, "spot": True}, "4 GiB is never on spot; set cluster.spot: false"),
    ],
)
def test_a_machine_that_small_cannot_have_is_refused(cluster: dict[str, Any], words: str) -> None:
    """The first did nothing and said nothing; Azure sells no burstable machine on spot."""
    stack = raw("azure", "small")
    with pytest.raises(ConfigurationInvalid, match=words):
        parse("azure", "small", {**stack, "cluster": {**stack["cluster"], **cluster}})


def test_azure_small_needs_a_public_key() -> None:
    """Azure makes no machine without a way to log in."""
    stack = raw("azure", "small")
    stack["cluster"]["ssh_public_key"] = None
    with pytest.raises(ConfigurationInvalid, match=r"cluster\.ssh_public_key"):
        parse("azure", "small", stack)


def test_google_needs_project_and_billing_account() -> None:
    """Both are the company's; neither can be guessed."""
    with pytest.raises(ConfigurationInvalid, match=r"account \(project id\) and budget.billing_account"):
        parse("gcp", "prod", raw("gcp", account=""))


def test_a_stack_may_be_named_otherwise_than_its_profile() -> None:
    """Two prod stacks in one company: `prodeu` says profile: prod, and is held to prod's rules."""
    assert parse("aws", "prodeu", raw(profile="prod")).profile == "prod"
    with pytest.raises(ConfigurationInvalid, match="must set protect"):
        parse("aws", "prodeu", raw(profile="prod", protect=False))


def test_names_of_application_and_stack_leave_room_for_a_load_balancer() -> None:
    """Sixteen characters with the hyphen; AWS refuses the seventeenth halfway through `pulumi up`."""
    assert parse("aws", "prod", raw(application="supportdesk")).prefix == "supportdesk-prod"
    with pytest.raises(ConfigurationInvalid, match=r"'supportdesks-prod', 17 characters.*shorten application"):
        parse("aws", "prod", raw(application="supportdesks"))


def test_own_tags_cannot_hide_the_required_ones() -> None:
    """What the bill is sorted by is the stack's own fact."""
    settings = parse("aws", "prod", raw(tags={"application": "other", "team": "x"}))
    assert settings.required_tags["application"] == "pointsman"
    assert settings.required_tags["team"] == "x"


def test_golden_schema_for_editors() -> None:
    """Editors complete Pulumi.<stack>.yaml from this file; it is generated."""
    path = Path(__file__).parents[2] / "infra" / "stacks" / "settings.schema.json"
    check_golden(path, settings_schema())


def test_golden_page_names_every_setting() -> None:
    """A part that is added stands on the page without anybody thinking of it."""
    page = Path(__file__).parents[2] / "design" / "infrastructure-settings.md"
    rows = [f"| `{name}` | {keys(field)} |" for name, field in Settings.model_fields.items()]
    check_golden(page, filled(page, {"settings": "\n".join(["| setting | what it takes |", "|---|---|", *rows])}))


def keys(field: FieldInfo) -> str:
    """The keys of a part with their defaults, or the default of a single value."""
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return ", ".join(f"`{name}` {default(one)}" for name, one in field.annotation.model_fields.items())
    return default(field)


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "(must be given)"
    value = field.get_default(call_default_factory=True)
    return f"({'none' if value in (None, '', (), {}) else json.dumps(value, default=str)})"


def test_schema_refuses_unknown_keys_at_every_level() -> None:
    """The editor underlines what the program would refuse."""
    schema = json.loads(settings_schema())
    assert schema["additionalProperties"] is False
    objects = [d for d in schema["$defs"].values() if d.get("type") == "object"]
    assert all(d["additionalProperties"] is False for d in objects)
    assert set(schema["properties"]) == set(Settings.model_fields) - {"cloud", "environment"}


@pytest.mark.parametrize("written", ["off", "'off'"])
def test_a_chat_that_is_off_may_be_written_so(written: str) -> None:
    """YAML 1.1 takes the bare word for a no."""
    edge = yaml.safe_load(f"{{domain: a.example.com, chat: {written}}}")
    assert parse("aws", "prod", raw(edge=edge)).edge.has_chat is False
