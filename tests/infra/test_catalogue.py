"""What is derived from the list of capabilities is complete, and a part left out is never silent: each in turn."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from cost.report.charts import GROUPS
from cost.rules import RULES as PRICES
from infra.blueprint import Provider
from infra.catalogue import CAPABILITIES, CATALOGUE, GIVER, words_of
from infra.contract import Contract
from infra.grants import GIVEN_IF, INSIDE, OPERATORS, WORKLOADS, Access
from infra.kinds.roles import roles, verb_of
from infra.offline.plan import CLOUDS
from infra.policies.rules.base import dig
from infra.policies.rules.encryption import policy_statements
from infra.policies.rules.equivalence import MAY_BE_EMPTY
from infra.preflight.local import load_settings
from infra.preflight.quotas import TABLES
from infra.settings import Cloud
from tests.planned import PROFILES, Plans

ROOT = Path(__file__).parents[2]


def test_provider_has_a_builder_for_each_capability_and_no_other() -> None:
    """`account` is the one that is not a capability."""
    assert set(Provider.__dataclass_fields__) == {"account", *CAPABILITIES}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_smoke_looks_at_each_capability_or_says_why_not(cloud: str) -> None:
    """Neither forgotten nor excused and checked all the same."""
    checked = set(import_module(f"infra.smoke.{cloud}")._CHECKS)
    excused = {c.name for c in CATALOGUE if {"*", cloud} & set(c.unchecked)}
    assert checked | excused == set(CAPABILITIES)
    assert not checked & excused


@pytest.mark.parametrize("cloud", CLOUDS)
def test_preflight_asks_for_the_quota_of_each_capability_or_says_why_not(cloud: str) -> None:
    """What a stack takes of a limited thing is counted, or the catalogue says why nobody need count."""
    counted = {quota.of for profile in PROFILES for quota in TABLES[Cloud(cloud)](load_settings(cloud, profile))}
    excused = {c.name for c in CATALOGUE if {"*", cloud} & set(c.unlimited)}
    assert counted | excused == set(CAPABILITIES)
    assert not counted & excused


def test_what_may_be_empty_says_when_and_why() -> None:
    """The rule's condition and the reason stand together."""
    by_contract = {c.name for c in CATALOGUE if c.only_with}
    assert {c.name for c in CATALOGUE if c.empty} == by_contract | set(MAY_BE_EMPTY)
    assert not by_contract & set(MAY_BE_EMPTY)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_costs_has_a_group_in_the_chart(plans: Plans, cloud: str) -> None:
    """A capability with a priced resource belongs to a group; its bar would be missing from the chart."""
    priced = {r.capability for profile in PROFILES for r in plans[cloud, profile].resources if r.type in PRICES[cloud]}
    assert priced <= {name for names in GROUPS.values() for name in names}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_grant_has_its_words_on_each_cloud(cloud: str) -> None:
    """They stand in the file that builds what is granted; whether they grant anything, rule IAM-006 asks the plan."""
    for access in Access:
        assert callable(words_of(cloud, access))


def test_who_writes_objects_on_aws_may_replace_and_remove_them(plans: Plans) -> None:
    """A day of the lake is written anew, a document erased: PutObject alone would refuse both, later and elsewhere."""
    policies = [r for r in plans["aws", "prod"].resources if r.type == "aws:iam/rolePolicy:RolePolicy"]
    (worker,) = [r for r in policies if r.name.endswith("-worker")]
    actions = {s["Sid"]: set(s["Action"]) for s in policy_statements(worker.inputs["policy"]) if "Sid" in s}
    assert {"s3:PutObject", "s3:DeleteObject"} <= actions["DocumentsWrite1"] & actions["LakeWrite1"]


def test_each_capability_gives_something_or_says_why_nobody_is_let_in() -> None:
    """A cache that no workload may use planned clean: what it gives stands beside it, and somebody holds it."""
    assert [c.name for c in CATALOGUE if bool(c.gives) == bool(c.closed)] == []
    given = [access for c in CATALOGUE for access in c.gives]
    assert sorted(given) == sorted(Access)
    held = frozenset().union(*WORKLOADS.values(), OPERATORS)
    assert set(given) <= held


def described(path: str) -> str:
    """What the contract says of a field of one of its parts."""
    part, _, name = path.partition(".")
    return Contract.model_fields[part].annotation.model_fields[name].description or ""  # ty: ignore[unresolved-attribute]


def only_in(access: Access) -> str:
    """`small` or `managed`, by what the field or the catalogue says of the other; empty: in every stack."""
    said = described(GIVEN_IF[access])
    empty = next(c.empty for c in CATALOGUE if c.name == GIVER[access])
    return "small" if "k3s only" in said else "managed" if re.search("k3s|small", said + empty) else ""


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_may_rightly_be_ungranted_is_there_in_some_stack(plans: Plans, cloud: str) -> None:
    """An exception that always holds would make a forgotten grant silent: each path is real, and set where it may."""
    for profile, kind in (("prod", "managed"), ("dev", "managed"), ("small", "small")):
        contract = plans[cloud, profile].contract
        unset = {access: path for access, path in GIVEN_IF.items() if not dig(contract, path)}
        assert {access: path for access, path in unset.items() if only_in(access) in ("", kind)} == {}, profile
        assert all(path.rpartition(".")[2] in dig(contract, path.rpartition(".")[0]) for path in GIVEN_IF.values())


def test_every_access_has_a_verb_that_some_service_of_each_cloud_knows() -> None:
    """Else IAM-007 would have nothing to hold a grant against."""
    for cloud in CLOUDS:
        verbs = {verb for service in roles(cloud).services.values() for verb in service}
        assert {verb_of(a) for a in Access if (cloud, a) not in INSIDE} <= verbs


def without(pattern: str) -> Callable[[str], str]:
    def edit(text: str) -> str:
        left, count = re.subn(pattern, "", text, flags=re.MULTILINE | re.DOTALL)
        assert count, f"{pattern} is not there to be left out"
        return left

    return edit


def with_words(old: str, new: str) -> Callable[[str], str]:
    def edit(text: str) -> str:
        assert old in text, f"{old} is not there to be changed"
        return text.replace(old, new, 1)

    return edit


LEFT_OUT: dict[str, tuple[str, Callable[[str], str] | None, str]] = {
    "the file of one cloud": ("infra/gcp/bus.py", None, r"infra\.gcp\.bus"),
    "its line in the catalogue": ("infra/catalogue.py", without(r'    Capability\("bus", Bill.BUS,.*?\n'), "bus"),
    "its field of Provider": ("infra/blueprint.py", without(r"    bus: Callable.*?c\.Bus\]\n"), "bus"),
    "its line in build": ("infra/blueprint.py", without(r"        bus=provider\.bus.*?\n"), "bus"),
    "its record in Stores": ("infra/capabilities.py", without(r"    bus: Bus\n"), "bus"),
    "its part of the contract": ("infra/contract.py", without(r"    bus: Bus\n"), r"contract\.bus"),
    "a type's record": (
        "infra/kinds/gcp.yaml",
        without(r'  "gcp:pubsub/topic:Topic":\n.*?(?=  ")'),
        "Topic should say it, and has no record",
    ),
    "an answer in a record": (
        "infra/kinds/gcp.yaml",
        without(r'(?<="gcp:pubsub/topic:Topic":\n    door: cloud\n)    key: .*?\n'),
        r"gcp:pubsub/topic:Topic\.key",
    ),
    "a text that is never empty": (
        "infra/contract.py",
        with_words("    topic: Text\n", "    topic: str\n"),
        r"Bus\.topic may be empty",
    ),
    "what a record says of a switch": (
        "infra/kinds/gcp.yaml",
        without(r'\n      "rootPasswordWoVersion".*?(?=\n)|, also: \{"rootPasswordWo": \[null\]\}'),
        "says nothing of rootPasswordWo:",
    ),
    "the words of a grant": (
        "infra/gcp/bus.py",
        with_words("case Access.BUS_PUBLISH:\n", "case Access.BUS_PUBLISH:\n            return\n"),
        "worker is granted bus-publish, and nothing planned grants it",
    ),
    "a role that is large enough": (
        "infra/gcp/bus.py",
        with_words('role = "roles/pubsub.publisher"', 'role = "roles/pubsub.viewer"'),
        r"bus-publish of worker.*infra/gcp/bus\.py: is too small: `publish` of pubsub needs publisher",
    ),
    "what a role must hold": (
        "infra/kinds/roles.yaml",
        without(r"    pubsub: \{publish: \[publisher\], read: \[subscriber\]\}\n"),
        "says nothing of pubsub:publisher",
    ),
    "the way of a database into our network": (
        "infra/kinds/gcp.yaml",
        without(r'    way:\n      through: "gcp:servicenetworking.*?null\}\n'),
        "databaseInstance:DatabaseInstance lives in Google's own network: say in `way`",
    ),
    "a price rule": (
        "cost/rules/gcp.py",
        without(r'^    "gcp:pubsub/topic:Topic": .*?\n'),
        "No pricing rule for gcp:pubsub",
    ),
}


@pytest.mark.parametrize("part", LEFT_OUT)
def test_a_part_left_out_is_never_silent(part: str, tmp_path: Path) -> None:
    """The bus loses one part at a time; the plan of a copy of this repository fails and names it."""
    path, edit, words = LEFT_OUT[part]
    for folder in ("infra", "cost", "services"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "venv", "*.onnx")
        )
    target = tmp_path / path
    if edit:
        target.write_text(edit(target.read_text("utf-8")), "utf-8")
    else:
        target.unlink()
    command = [sys.executable, "-W", "ignore", "-m", "services.cli", "plan", "gcp", "--profile", "prod"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0, done.stdout[-2000:]
    assert re.search(words, done.stdout + done.stderr), (done.stdout + done.stderr)[-2000:]
