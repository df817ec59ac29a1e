"""The rendered workloads of all nine stacks: valid for four versions of Kubernetes, restricted, wired to each other."""

import copy
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.platform.objects import after, before
from k8s.rules import breaches, pods
from k8s.workloads.containers import CONTAINERS
from k8s.workloads.entry import nameless, way_in
from k8s.workloads.objects import objects
from k8s.workloads.pods import REDACTS, Rollout, pod
from k8s.workloads.walls import way_in as walls_in
from services.core.kit.errors import ConfigurationInvalid
from tests.k8s.conftest import OVERLAYS, Rendered, images
from tests.k8s.workloads.check import UNSEEN, problems

Objects = list[dict[str, Any]]
needs_crds = pytest.mark.skipif(
    not os.environ.get("POINTSMAN_CRDS"), reason="POINTSMAN_CRDS does not name the folder with the definitions"
)


def of(found: Objects, kind: str, name: str) -> dict[str, Any]:
    (one,) = [o for o in found if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return one


@needs_crds
@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_an_api_server_would_take_every_object(stack: tuple[str, str], rendered: Rendered) -> None:
    """Strictly decoded, by versions 1.33 to 1.36 and by the definitions of those whose objects we write."""
    assert problems(rendered[stack]) == []


def test_clouds_differ_in_what_only_they_have(rendered: Rendered) -> None:
    """The same objects but for the way in, the authority, and what an identity is called."""
    names = {
        cloud: {(o["kind"], o["metadata"]["name"]) for o in rendered[cloud, "prod"] if o["kind"] != "Job"}  # by its pod
        for cloud in ("aws", "azure", "gcp")
    }
    shared = names["aws"] & names["azure"] & names["gcp"]
    apart = {cloud: sorted(found - shared) for cloud, found in names.items()}
    assert apart == {
        "aws": [("ConfigMap", "database-ca"), ("StorageClass", "pointsman-disk"), *_both("TargetGroupBinding")],
        "azure": [("Certificate", "gateway"), ("Gateway", "gateway"), *_both("HTTPRoute")],
        "gcp": [
            ("ConfigMap", "database-ca"),
            *_both("GCPBackendPolicy"),
            ("GCPGatewayPolicy", "gateway"),
            ("Gateway", "gateway"),
            *_both("HTTPRoute"),
            *_both("HealthCheckPolicy"),
            ("StorageClass", "pointsman-disk"),
        ],
    }
    for kind, name in sorted(shared):
        seen = {yaml.dump(_without_cloud(of(rendered[cloud, "prod"], kind, name))) for cloud in names}
        assert len(seen) == 1, (kind, name)


def _both(kind: str) -> list[tuple[str, str]]:
    return [(kind, "gateway"), (kind, "rag")]


def _without_cloud(one: dict[str, Any]) -> Any:
    """Without values that name a cloud's things; their names stay."""
    made = copy.deepcopy(one)
    made["metadata"].pop("annotations", None) if made["kind"] == "ServiceAccount" else None
    if made["kind"] in ("NetworkPolicy", "ExternalSecret"):
        return made["metadata"]
    if made["kind"] == "PersistentVolumeClaim":
        del made["spec"]["storageClassName"]
    for _, labels, spec in pods([made]):
        labels.pop("azure.workload.identity/use", None)
        for word in ("affinity", "tolerations", "nodeSelector", "volumes"):
            spec.pop(word, None)
        for container in spec["containers"]:
            container.pop("volumeMounts", None)
            container["env"] = sorted(
                {e["name"].split("__")[0] for e in container["env"]} - {"AWS_REGION", "POINTSMAN_LLM"}
            )
    if made["kind"] == "ServingRuntime":
        made["spec"]["containers"], made["spec"]["volumes"] = [], []
    if made["kind"] == "InferenceService":
        made["spec"]["predictor"]["labels"].pop("azure.workload.identity/use", None)
    return made


def test_small_leaves_the_controllers_out(rendered: Rendered) -> None:
    """4 GiB hold no KServe and no KEDA: the same pods as plain objects, one of each, under the same names."""
    for cloud in ("aws", "azure", "gcp"):
        kinds = {o["kind"] for o in rendered[cloud, "small"]}
        assert not kinds & {
            "InferenceService",
            "ServingRuntime",
            "ScaledObject",
            "HorizontalPodAutoscaler",
            "PodDisruptionBudget",
        }
        assert of(rendered[cloud, "small"], "Service", "routers")["spec"]["selector"] == {
            "app.kubernetes.io/name": "router"
        }
        served = [spec["containers"][0] for who, _, spec in pods(rendered[cloud, "small"]) if "Job" not in who]
        asked = sum(int(one["resources"]["requests"]["memory"].removesuffix("Mi")) for one in served)
        assert asked <= 2048  # of 4 GiB, beside the node's own and the add-ons


def test_an_address_without_a_name_has_no_way_in(rollouts: dict[tuple[str, str], Rollout]) -> None:
    """No certificate is issued for it: nothing is served in the clear, and the reason names the setting."""
    contract = rollouts["gcp", "small"].contract
    for host, wanted in (("34.1.2.3", "edge.domain"), ("tickets.example.com", "")):
        named = contract.model_copy(update={"edge": contract.edge.model_copy(update={"origin_host": host})})
        assert wanted in nameless(named)
        assert bool(way_in(named)) == (not wanted)


@pytest.mark.parametrize("door", ["gateway", "rag"])
def test_only_our_own_front_door_comes_in(door: str, rendered: Rendered) -> None:
    route = of(rendered["azure", "prod"], "HTTPRoute", door)
    assert [m.get("headers", [{}])[0].get("name") for r in route["spec"]["rules"] for m in r["matches"]] == [
        None,
        "X-Azure-FDID",
    ]


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_the_chat_is_reached_by_its_own_name_where_it_has_one(
    stack: tuple[str, str], rollouts: dict[tuple[str, str], Rollout]
) -> None:
    """Route, wall and certificate follow the one field of the contract; without it nobody outside gets to the chat."""
    contract = rollouts[stack].contract
    edge = contract.edge.model_copy(update={"origin_host": "tickets.example.com"})
    name = {"chat": "public", "chat_hostname": "chat.tickets.example.com", "chat_entry": "group-of-the-chat"}
    named = edge.model_copy(update=name)
    unnamed = edge.model_copy(update={"chat": "off", "chat_hostname": "", "chat_entry": ""})
    shut, opened = (
        objects(replace(rollouts[stack], contract=contract.model_copy(update={"edge": one})))
        for one in (unnamed, named)
    )
    assert [line for _, line in breaches(opened)] == []
    assert {name for _, name in _joined(shut)} == {"gateway"}
    assert {name for _, name in _joined(opened)} == {"gateway", "rag"}
    walls = [of(found, "NetworkPolicy", "rag")["spec"]["ingress"][0]["from"] for found in (shut, opened)]
    assert [peer for peer in walls[1] if peer not in walls[0]] == walls_in(contract)
    for kind, name in _joined(opened) if stack[0] != "aws" or contract.is_small else ():
        hosts = of(opened, kind, name)["spec"]["hostnames"]
        assert ("chat.tickets.example.com" in hosts) == (name == "rag")
    if contract.is_small:
        assert "chat.tickets.example.com" in of(opened, "Certificate", "gateway")["spec"]["dnsNames"]


def _joined(found: Objects) -> list[tuple[str, str]]:
    return [(o["kind"], o["metadata"]["name"]) for o in found if o["kind"] in ("HTTPRoute", "TargetGroupBinding")]


def test_googles_balancer_is_told_of_the_list_and_the_lowest_version(rendered: Rendered) -> None:
    """Made by the stack, both are in force only where an object names them."""
    found = rendered["gcp", "prod"]
    for name in ("gateway", "rag"):
        policy = of(found, "GCPBackendPolicy", name)["spec"]
        assert policy["default"]["securityPolicy"] == "pointsman-prod-edge"
        assert policy["targetRef"] == {"group": "", "kind": "Service", "name": name}
    assert of(found, "GCPGatewayPolicy", "gateway")["spec"]["default"] == {"sslPolicy": "pointsman-prod-edge"}


def test_an_image_without_a_digest_is_not_rendered(rollouts: dict[tuple[str, str], Rollout]) -> None:
    """A tag may be another image tomorrow."""
    with pytest.raises(ConfigurationInvalid, match=r"No digest for the images \['rag'\]"):
        Rollout(rollouts["azure", "prod"].contract, images() | {"rag": "registry.example.com/rag:latest"})
    with pytest.raises(
        ConfigurationInvalid, match=r"authority is no certificate as PEM.*Fetch it from https://truststore.pki.rds"
    ):
        Rollout(rollouts["aws", "prod"].contract, images())


def test_nothing_of_ours_may_ask_the_cluster(rendered: Rendered) -> None:
    """No container calls the Kubernetes API: there are no roles, and no token to use one with."""
    for found in rendered.values():
        assert not {o["kind"] for o in found} & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
        assert all(o["automountServiceAccountToken"] is False for o in found if o["kind"] == "ServiceAccount")


def test_a_host_that_its_listener_drops_is_found(rendered: Rendered) -> None:
    """Front Door asks by the domain, and the listener that named its origin alone answered every call with 404."""
    broken = copy.deepcopy(rendered["azure", "prod"])
    of(broken, "Gateway", "gateway")["spec"]["listeners"][0]["hostname"] = "origin.tickets.example.com"
    (first, second) = [line for _, line in breaches(broken)]
    assert "HTTPRoute/gateway names ['tickets.example.com'], which its listener drops" in first
    assert "HTTPRoute/rag names ['chat.tickets.example.com']" in second


def test_rendering_twice_is_the_same(rollouts: dict[tuple[str, str], Rollout], rendered: Rendered) -> None:
    assert objects(rollouts["aws", "prod"]) == rendered["aws", "prod"]


GONE = object()
POD, FIRST = "spec/template/spec", "spec/template/spec/containers/0"
# What is broken, where, with what, and a word of what is said.
MISTAKES: dict[str, tuple[str, str, Any, str]] = {
    "a typing mistake": ("Deployment/gateway", "spec/replica", 2, "replica"),
    "a removed version": ("CronJob/trainer", "apiVersion", "batch/v1beta1", "CronJob/trainer"),
    "a wrong type": ("Deployment/gateway", "spec/revisionHistoryLimit", "5", "revisionHistoryLimit"),
    "a mistake in KServe's": ("InferenceService/router", "spec/predictor/minReplica", 1, "minReplica"),
    "a mistake in KEDA's": ("ScaledObject/worker", "spec/triggers", GONE, "triggers"),
    "a tag": ("Deployment/gateway", f"{FIRST}/image", "gateway:1", "no digest"),
    "a placeholder": ("ServiceAccount/rag", "metadata/annotations", {"a/b": "CHANGEME"}, "placeholder"),
    "a Service that finds nobody": ("Service/gateway", "spec/selector/a", "b", "no pod carries"),
    "a wall around nobody": ("NetworkPolicy/router", "spec/podSelector/matchLabels/a", "b", "no pod carries"),
    "a wall that lets nobody in": (
        "NetworkPolicy/router",
        "spec/ingress/0/from/0/podSelector/matchLabels/a",
        "b",
        "no pod carries",
    ),
    "a budget of nobody": ("PodDisruptionBudget/worker", "spec/selector/matchLabels/a", "b", "no pod carries"),
    "a renamed port": ("Deployment/rag", f"{FIRST}/ports/0/name", "web", "no port of its pods"),
    "a probe of a closed port": ("Deployment/rag", f"{FIRST}/readinessProbe/httpGet/port", "web", "not open"),
    "root": ("StatefulSet/worker", f"{POD}/securityContext/runAsNonRoot", GONE, "as root"),
    "a writable image": (
        "StatefulSet/worker",
        f"{FIRST}/securityContext/readOnlyRootFilesystem",
        GONE,
        "write its image",
    ),
    "capabilities": ("Deployment/rag", f"{FIRST}/securityContext/capabilities", {"add": ["NET_RAW"]}, "capabilities"),
    "a token": ("Deployment/rag", f"{POD}/automountServiceAccountToken", True, "token of the cluster"),
    "no room": ("Deployment/rag", f"{FIRST}/resources", GONE, "what room"),
    "a forgotten account": ("ServiceAccount/worker", "", GONE, "no ServiceAccount 'worker'"),
    "a forgotten secret": ("ExternalSecret/connector-zendesk", "", GONE, "no Secret 'connector-zendesk'"),
    "a forgotten disk": ("PersistentVolumeClaim/trainer-run", "", GONE, "no PersistentVolumeClaim 'trainer-run'"),
    "a forgotten authority": ("ConfigMap/database-ca", "", GONE, "no ConfigMap 'database-ca'"),
    "an autoscaler of nothing": (
        "HorizontalPodAutoscaler/rag",
        "spec/scaleTargetRef/name",
        "chat",
        "scales 'chat'",
    ),
    "a way to nowhere": ("TargetGroupBinding/rag", "spec/serviceRef/name", "chat", "no Service opens"),
    "a way through a shut wall": ("NetworkPolicy/rag", "spec/ingress/0/from", [], "lets nobody in from outside"),
    "a name given twice": ("Service/router-two", "metadata/name", "rag", "twice"),
}


def seed(found: Objects, where: str, path: str, value: Any) -> None:
    if where == "Service/router-two":
        found.append(copy.deepcopy(of(found, "Service", "gateway")))
        found[-1]["metadata"]["name"] = "router-two"
    broken: Any = of(found, *where.split("/"))
    if not path:
        found.remove(broken)
        return
    *way, last = [int(word) if word.isdigit() else word for word in path.split("/")]
    for word in way:
        broken = broken[word]
    if value is GONE:
        del broken[last]
    else:
        broken[last] = value


@needs_crds
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_seeded_mistake_is_found(mistake: str, rendered: Rendered) -> None:
    """Each check is shown what it is there for."""
    where, path, value, said = MISTAKES[mistake]
    broken = copy.deepcopy(rendered["aws", "prod"])
    seed(broken, where, path, value)
    found = problems(broken, versions=("1.35",))
    assert any(said in line for line in found), found


def test_what_nobody_checks_is_named(rendered: Rendered, rollouts: dict[tuple[str, str], Rollout]) -> None:
    """A custom kind without a definition here is one of the listed ones."""
    below = [one for r in rollouts.values() for one in (*before(r.contract), *after(r.contract))]
    everything = [*below, *(one for found in rendered.values() for one in found)]
    strange = {(o["apiVersion"], o["kind"]) for o in everything if not _is_known(o)}
    assert strange == UNSEEN


def _is_known(one: dict[str, Any]) -> bool:
    group = one["apiVersion"].split("/")[0]
    ours = {"serving.kserve.io", "keda.sh", "gateway.networking.k8s.io", "external-secrets.io"}
    kubernetes = {"networking.k8s.io", "policy", "apps", "batch", "autoscaling", "scheduling.k8s.io", "storage.k8s.io"}
    return group in ours | kubernetes | {"v1"}


@needs_crds
def test_the_operators_rules_reach_whoever_redacts_and_nobody_else(rollouts: dict[tuple[str, str], Rollout]) -> None:
    """A file, a variable that names it, and pods that start anew when it changes; none of it without rules."""
    bare = rollouts["aws", "prod"]
    ruled = replace(bare, rules='people = ["Zephyrine Oddbody"]\n')
    (made,) = [o for o in objects(ruled) if o["metadata"]["name"].startswith("redaction-rules")]
    assert (made["kind"], made["data"]) == ("ConfigMap", {"rules.toml": ruled.rules})
    assert problems(objects(ruled), versions=("1.35",)) == []
    assert replace(bare, rules="people = []").rules_name != ruled.rules_name
    for name in CONTAINERS:
        spec, before = pod(ruled, name), pod(bare, name)
        variables = {one["name"]: one["value"] for one in spec["containers"][0]["env"]}
        folders = {one["name"]: one["mountPath"] for one in spec["containers"][0]["volumeMounts"]}
        if name in REDACTS:
            assert variables["POINTSMAN_REDACTION_RULES"] == folders["redaction-rules"] + "/rules.toml"
            assert {"name": "redaction-rules", "configMap": {"name": made["metadata"]["name"]}} in spec["volumes"]
        else:
            assert spec == before


def test_every_container_that_redacts_is_given_the_rules() -> None:
    """Found in the code: one that builds a redactor and has no file would let the operator's words through."""
    folder = Path(__file__).parents[3] / "services"
    code = {name: "".join(f.read_text("utf-8") for f in (folder / name).rglob("*.py")) for name in CONTAINERS}
    assert {name for name, text in code.items() if "import build_redactor" in text} == set(REDACTS)


@pytest.mark.parametrize("profile", ["small", "prod"])
def test_a_candidate_shadows_and_is_compared_every_hour_without_the_gpu(profile: str, rendered: Rendered) -> None:
    """The weekly training lets it shadow; another job of the same image, named apart, promotes or drops it."""
    for cloud in ("aws", "azure", "gcp"):
        weekly, hourly = (of(rendered[cloud, profile], "CronJob", name) for name in ("trainer", "trainer-canary"))
        trains, compares = (job["spec"]["jobTemplate"]["spec"]["template"]["spec"] for job in (weekly, hourly))
        assert hourly["spec"]["schedule"].split()[1:] == ["*"] * 4
        assert "--canary" in trains["containers"][0]["command"]
        assert compares["containers"][0]["command"][-1] == "--shadow"
        assert compares["containers"][0]["env"] == trains["containers"][0]["env"]
        assert compares["containers"][0]["image"] == trains["containers"][0]["image"]
        assert not {"nodeSelector", "tolerations"} & set(compares)
        assert "run" not in {volume["name"] for volume in compares["volumes"]}  # it would wait for the other's disk
        assert "nvidia.com/gpu" not in compares["containers"][0]["resources"]["limits"]
        assert ("nvidia.com/gpu" in trains["containers"][0]["resources"]["limits"]) == (profile == "prod")


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_training_outlives_its_machine(cloud: str, rendered: Rendered) -> None:
    """The run lies on a disk of its own, of a kind that the cluster has or is given; bundles and caches do not."""
    found = rendered[cloud, "prod"]
    spec = of(found, "CronJob", "trainer")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (claim,) = (v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if "persistentVolumeClaim" in v)
    folders = {m["name"]: m["mountPath"] for m in spec["containers"][0]["volumeMounts"]}
    told = {one["name"]: one["value"] for one in spec["containers"][0]["env"]}
    assert told["POINTSMAN_TRAINER_RUN_DIR"] == folders["run"] != told["POINTSMAN_TRAINER_WORK_DIR"]
    kind = of(found, "PersistentVolumeClaim", claim)["spec"]["storageClassName"]
    made = [one["metadata"]["name"] for one in found if one["kind"] == "StorageClass"]
    assert made == ([] if cloud == "azure" else [kind])
    assert not [one for one in rendered[cloud, "small"] if one["kind"] in ("StorageClass", "PersistentVolumeClaim")]
