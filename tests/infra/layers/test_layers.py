"""The two programs above each stack: what they make of its contract, and what they refuse."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest

from cost.bill import estimate
from cost.estimate import Estimate
from cost.meter import HOURS_PER_MONTH
from cost.scenario import Scenario
from infra.contract import VERSION, Contract
from infra.layers.cluster import kubeconfig, token
from infra.layers.programs import stack_of
from infra.offline.layers import LAYERS, plan_layer, program_of, with_layers
from infra.offline.plan import CLOUDS
from infra.offline.recorder import record
from infra.offline.report import Report, StackPlan
from infra.offline.room import always_on, nodes_of
from k8s.platform.charts import charts
from k8s.platform.objects import after, before
from k8s.room import MACHINES, Room, asked, needed, nodes, together, usable
from k8s.workloads.containers import SERVING
from services.core.kit.errors import ConfigurationInvalid
from tests.cost.conftest import TODAY
from tests.k8s.conftest import rollout_for
from tests.planned import PROFILES, Plans

STACKS = list(product(CLOUDS, PROFILES))


def contract_of(plan: StackPlan) -> Contract:
    return Contract.model_validate(plan.contract)


@pytest.mark.parametrize("stack", STACKS, ids="-".join)
def test_both_layers_of_every_stack_are_sound(stack: tuple[str, str], plans: Plans) -> None:
    """Inputs as the SDK has them, names that meet each other, nothing twice; all that is rendered is there."""
    from k8s.workloads.objects import objects

    contract = contract_of(plans[stack])
    platform, workloads = (plan_layer(plans[stack], layer) for layer in LAYERS)
    assert (platform.problems, platform.findings) == ((), ())
    assert (workloads.problems, workloads.findings) == ((), ())
    is_small = contract.cluster.kind == "k3s"
    rendered = objects(rollout_for(contract))
    made = {(one.kind, one.name.partition(" ")[0]) for one in (*platform.objects, *workloads.objects)}
    wanted = {(o["kind"], o["metadata"]["name"]) for o in [*before(contract), *after(contract), *rendered]}
    wanted |= {("HelmChart" if is_small else "Chart", chart.name) for chart in charts(contract)}
    wanted |= {("File", "addons.yaml"), ("File", "manifests.yaml")} if is_small else set()
    assert {(kind, name) for kind, name in made if kind != "Job"} == {pair for pair in wanted if pair[0] != "Job"}


def test_who_waits_for_whom(plans: Plans) -> None:
    """Charts after the machines, what needs their kinds after them; the pods of the workloads after the migrator."""
    for layer, first, then in (
        ("platform", "NodePool::workers", "Release::keda"),
        ("platform", "Release::external-secrets", "ClusterSecretStore::cloud"),
        ("platform", "Release::kserve-crd", "Release::kserve"),
        ("workloads", "Job::migrator", "Deployment::gateway"),
        ("workloads", "Namespace::pointsman", "Job::migrator-.*"),
    ):
        found = record(program_of(plans["aws", "prod"], layer), simulate=True).resources
        (one,) = (r for urn, r in found.items() if re.search(f"{then}$", urn))
        assert any(first in urn for urn in one.depends_on), (layer, then, one.depends_on)


def test_an_old_contract_is_refused_with_what_to_do(plans: Plans) -> None:
    """By both programs, before anything is made."""
    sound = plans["gcp", "prod"]
    old = sound.model_copy(update={"contract": sound.contract | {"version": 2}})
    for layer in LAYERS:
        with pytest.raises(ConfigurationInvalid, match=rf"version 2, this program reads {VERSION}\. Run `pulumi up`"):
            record(program_of(sound, layer, promised=old.contract), simulate=True)


def test_what_a_layer_refuses_is_a_problem_of_the_plan(plans: Plans) -> None:
    """Not the end of it: the other stacks are planned."""
    sound = plans["azure", "prod"]
    contract = json.loads(json.dumps(sound.contract))
    contract["secrets"]["store"] = "a-vault"
    (broken, _) = (plan_layer(sound.model_copy(update={"contract": contract}), layer) for layer in LAYERS)
    assert "'a-vault' is no id" in broken.problems[0]
    report = with_layers(
        Report(stacks=(sound.model_copy(update={"problems": ("x",)}), plans["gcp", "small"]), parity=())
    )
    assert {one.cloud for one in report.layers} == {"gcp"}


def test_the_cluster_is_reached_without_a_credential_in_the_state(plans: Plans) -> None:
    """The cloud's own program is asked at each call."""
    for cloud, program in (("aws", "aws"), ("azure", "kubelogin"), ("gcp", "gke-gcloud-auth-plugin")):
        found = kubeconfig(contract_of(plans[cloud, "prod"]))
        assert found["users"][0]["user"]["exec"]["command"] == program
        assert set(found["users"][0]["user"]) == {"exec"}


def test_a_stack_is_called_by_its_cloud_and_name() -> None:
    assert stack_of("azure-prodeu") == ("azure", "prodeu")
    for name in ("prod", "aws", "aws-", "ovh-prod"):
        with pytest.raises(ConfigurationInvalid, match="such as aws-prod"):
            stack_of(name)


def test_kinds_have_pulumis_own_names() -> None:
    assert token({"apiVersion": "v1", "kind": "Secret"}) == "kubernetes:core/v1:Secret"
    assert token({"apiVersion": "apps/v1", "kind": "Deployment"}) == "kubernetes:apps/v1:Deployment"


@pytest.mark.parametrize("stack", STACKS, ids="-".join)
def test_what_pods_ask_for_fits_the_machines_that_are_always_there(stack: tuple[str, str], plans: Plans) -> None:
    """Else a first rollout would stand still, waiting for room."""
    (row,) = nodes_of(plans[stack])
    assert row.left_mib >= 0
    assert row.left_cpu_m >= 0
    assert sum(row.rows.values()) == row.asked_mib


def test_small_fits_4_gib_and_would_not_with_what_it_leaves_out(plans: Plans) -> None:
    """The figures of ADR 0254: should they fit one day, it is out of date."""
    have = usable("e2-medium", is_small=True)
    wanted = together(asked(contract_of(plans["gcp", "small"])))
    left_out = {chart.name: chart.memory_mib for chart in charts(contract_of(plans["gcp", "prod"]))}
    more = sum(left_out[name] for name in ("kserve", "keda", "prometheus"))
    assert wanted.memory_mib < have.memory_mib < wanted.memory_mib + more
    assert wanted.cpu_m < have.cpu_m


def test_room_of_a_machine() -> None:
    """By hand: 8 GiB less 1, less .8, less 100 MiB; at the edge one more pod is one more machine."""
    assert usable("n2d-standard-2", is_small=False) == Room(1880, int(6.2 * 1024) - 100)
    one = usable("n2d-standard-2", is_small=False)
    assert nodes(one, "n2d-standard-2", is_small=False) == 1
    assert nodes(one + Room(0, 1), "n2d-standard-2", is_small=False) == 2
    assert nodes(Room(one.cpu_m + 1, 1), "n2d-standard-2", is_small=False) == 2
    assert usable("e2-medium", is_small=True).memory_mib == 4096 - 406 - 800
    assert all(memory >= 4 for _, memory in MACHINES.values())


def test_raising_a_request_raises_the_machines_and_the_price(plans: Plans) -> None:
    """One source for the plan and the bill: what pods ask for."""
    serving = [replace(one, needs=replace(one.needs, memory_mib=one.needs.memory_mib + 12_000)) for one in SERVING]
    for cloud in ("aws", "azure", "gcp"):
        plan = plans[cloud, "prod"]
        contract = contract_of(plan)
        machine, count = always_on(plan)
        assert needed(contract, machine, asked(contract, serving)) > count
        dearer = Scenario(name="agents beside", assumptions={"other_pods_mib": Decimal(60_000)})
        before, after = (estimate(plan, 0, scenario=s, today=TODAY) for s in (Scenario(), dearer))
        assert always_on(plan, Room(0, 60_000))[1] > count
        assert machines(after, machine) == always_on(plan, Room(0, 60_000))[1] * HOURS_PER_MONTH
        assert machines(before, machine) == count * HOURS_PER_MONTH
        assert after.monthly_usd > before.monthly_usd


def machines(bill: Estimate, machine: str) -> Decimal:
    """Hours of the pool that is always there."""
    name = machine.removeprefix("Standard_")
    return sum(
        (line.quantity for line in bill.lines if f"node {name}" in line.item and line.unit == "hour"), Decimal(0)
    )


@pytest.mark.parametrize("stack", STACKS, ids="-".join)
def test_the_plan_shows_the_machines_that_the_bill_has(stack: tuple[str, str], plans: Plans) -> None:
    (row,) = nodes_of(plans[stack])
    assert (row.machine, row.count) == always_on(plans[stack])
    if stack[1] == "small":
        assert row.count == 1
