"""The pod of each container: no root, no writable image, no token of the cluster; probes, room and place."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.contract import RUN_GIB, Contract, Pool
from k8s.workloads.containers import CANARY, CONTAINERS, IMAGES, USER, Container, Needs
from k8s.workloads.environment import CA_FOLDER, CACHE, RUNS, Settings, needs_authority
from k8s.workloads.llm import SelfHosted, refuse_without_machines, settings
from k8s.workloads.vault import from_vault, refuse_unknown
from k8s.workloads.walls import labels
from services.core.kit.errors import ConfigurationInvalid

ONLINE, BATCH = "pointsman-online", "pointsman-batch"
RULES_FOLDER = "/etc/pointsman/redaction"
RULES_FILE = f"{RULES_FOLDER}/rules.toml"
DRAIN_S = 10  # until balancers have heard that a pod goes: before SIGTERM, so that no call meets a closed port
GRACE_S = DRAIN_S + 35  # the worker's own ten seconds for letters, uvicorn's five, and the engine's end
GPU = "nvidia.com/gpu"
RUN, RUN_CLAIM = "run", "trainer-run"
ARGUMENTS = {"trainer": ("--promote", "--canary", "--progress", "json")}


@dataclass(frozen=True)
class Rollout:
    """
    All that rendering needs.

    Args:
        images: reference per image, each with its digest.
        authority: PEM of the database's authority, where the contract brings no name that every system knows.
            `router-canary` beside them: a router of another version, on one pod.
        llm: a language model of the operator's own, instead of the cloud's.
        rules: TOML of what the operator adds to redaction (design/guides/redaction.md).
        own: the operator's own settings of a container, beside the contract's (`read_own`).
    """

    contract: Contract
    images: Mapping[str, str]
    authority: str = ""
    rules: str = ""
    llm: SelfHosted | None = None
    own: Mapping[str, Settings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_unknown(self.contract)
        refuse_other_images(self.images)
        if CANARY in self.images and self.is_small:
            raise ConfigurationInvalid(f"`small` has room for one router: leave {CANARY} out of the images.")
        if self.llm is not None:
            refuse_without_machines(self.contract)
        if needs_authority(self.contract) and "BEGIN CERTIFICATE" not in self.authority:
            raise ConfigurationInvalid(
                f"The database's authority is no certificate as PEM, which has a line BEGIN CERTIFICATE. Fetch it from "
                f"{self.contract.database.ca[:80]} and hand it over."
            )

    @property
    def rules_name(self) -> str:
        """Another text is another name: pods read the rules at their start, and a new name starts them anew."""
        return f"redaction-rules-{hashlib.sha256(self.rules.encode()).hexdigest()[:10]}" if self.rules else ""

    @property
    def identity_labels(self) -> dict[str, str]:
        """Entra's webhook gives a token to pods that carry its label."""
        is_entra = self.contract.identity.kind == "azure-workload-identity"
        return {"azure.workload.identity/use": "true"} if is_entra else {}

    @property
    def is_small(self) -> bool:
        return self.contract.is_small


def refuse_other_images(images: Mapping[str, str]) -> None:
    """
    Raises:
        ConfigurationInvalid: one that is not ours, or one of ours that is missing or has no digest.
    """
    if unknown := sorted(set(images) - {*IMAGES, CANARY}):
        raise ConfigurationInvalid(
            f"No image of ours is called {unknown}. There are {', '.join(IMAGES)}, and {CANARY} for a trial."
        )
    wanted = (*IMAGES, *(name for name in images if name == CANARY))
    if missing := [name for name in wanted if "@sha256:" not in images.get(name, "")]:
        raise ConfigurationInvalid(
            f"No digest for the images {missing}. Build and push them, then name them in images.json or in "
            "options.digests: REGISTRY/NAME@sha256:..."
        )


def template(rollout: Rollout, name: str) -> dict[str, Any]:
    """Pod template: labels, annotations, spec."""
    return {"metadata": {"labels": {**labels(name), **rollout.identity_labels}}, "spec": pod(rollout, name)}


def pod(rollout: Rollout, name: str) -> dict[str, Any]:
    container = CONTAINERS[name]
    spec: dict[str, Any] = {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": ONLINE if container.port else BATCH,
        "terminationGracePeriodSeconds": GRACE_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(rollout, container)],
        "volumes": _volumes(rollout, name),
        **_place(rollout.contract, name),
    }
    if container.port:
        spec["topologySpreadConstraints"] = spread(name)
    if rollout.contract.registry.pull_secret:
        spec["imagePullSecrets"] = [{"name": rollout.contract.registry.pull_secret}]
    return spec


def spread(name: str) -> list[dict[str, Any]]:
    keys = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    chosen = {"matchLabels": labels(name)}
    return [
        {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": chosen}
        for key in keys
    ]


def _container(rollout: Rollout, container: Container) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": "kserve-container" if container.name == "router" else container.name,
        "image": rollout.images[container.from_image],
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", f"services.{container.name}", *ARGUMENTS.get(container.name, ())],
        "env": [{"name": key, "value": value} for key, value in sorted(_told(rollout, container.name).items())],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": _own_resources(rollout.contract, container),
        "volumeMounts": _mounts(rollout, container.name),
        **_serving(container),
    }
    if secrets := from_vault(rollout.contract, container.name):
        found["envFrom"] = secrets
    return found


def _serving(container: Container) -> dict[str, Any]:
    if not container.port:
        return {}
    ready = {"httpGet": {"path": container.ready, "port": "http"}}
    # Without a page of its own, an open port: /health asks the database, whose outage is no reason to start again.
    live = {"httpGet": {"path": container.live, "port": "http"}} if container.live else {"tcpSocket": {"port": "http"}}
    return {
        "ports": [{"name": n, "containerPort": p, "protocol": "TCP"} for n, p in container.ports.items()],
        "startupProbe": {**live, "periodSeconds": 3, "failureThreshold": 60},
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 4},
        "livenessProbe": {**live, "periodSeconds": 10, "timeoutSeconds": 4, "failureThreshold": 6},
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_S}}},
    }


def _own_resources(contract: Contract, container: Container) -> dict[str, Any]:
    found = resources(container.needs)
    if container.name == "trainer" and "gpu" in contract.cluster.pools:
        found["limits"][GPU] = "1"
    return found


def resources(needs: Needs) -> dict[str, Any]:
    requests = {"cpu": f"{needs.cpu_m}m", "memory": f"{needs.memory_mib}Mi", "ephemeral-storage": "256Mi"}
    limits = {"memory": f"{needs.memory_max_mib}Mi", "ephemeral-storage": "4Gi"}
    return {"requests": requests, "limits": limits}


REDACTS = ("worker", "rag")


def _reads_rules(rollout: Rollout, name: str) -> bool:
    return bool(rollout.rules) and name in REDACTS


def _told(rollout: Rollout, name: str) -> dict[str, str]:
    more = {"POINTSMAN_REDACTION_RULES": RULES_FILE} if _reads_rules(rollout, name) else {}
    # Kubernetes replaces $(NAME) in a value, and makes one of two dollars.
    own = {key: value.replace("$", "$$") for key, value in rollout.own.get(name, {}).items()}
    return settings(rollout.contract, rollout.llm)[name] | more | own


def _volumes(rollout: Rollout, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "cache", "emptyDir": {"sizeLimit": "2Gi"}},
    ]
    if name == "trainer":
        found.append({"name": RUN, **_kept_run(rollout)})
    if needs_authority(rollout.contract):
        found.append({"name": "database-ca", "configMap": {"name": "database-ca"}})
    if _reads_rules(rollout, name):
        found.append({"name": "redaction-rules", "configMap": {"name": rollout.rules_name}})
    return found


def _kept_run(rollout: Rollout) -> dict[str, Any]:
    """Where training goes on: a disk that outlives a spot machine. With one machine there is no other to take it up."""
    if rollout.is_small:
        return {"emptyDir": {"sizeLimit": f"{RUN_GIB}Gi"}}
    return {"persistentVolumeClaim": {"claimName": RUN_CLAIM}}


def _mounts(rollout: Rollout, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "cache", "mountPath": CACHE}]  # noqa: S108, the pod's own
    if name == "trainer":
        found.append({"name": RUN, "mountPath": RUNS})
    if needs_authority(rollout.contract):
        found.append({"name": "database-ca", "mountPath": CA_FOLDER, "readOnly": True})
    if _reads_rules(rollout, name):
        found.append({"name": "redaction-rules", "mountPath": RULES_FOLDER, "readOnly": True})
    return found


def _place(contract: Contract, name: str) -> dict[str, Any]:
    """The worker likes its spot machines and lives elsewhere when there are none; training waits for its GPU."""
    pools = contract.cluster.pools
    if name == "trainer" and "gpu" in pools:
        return {"nodeSelector": dict(pools["gpu"].selector), "tolerations": _tolerations(pools["gpu"])}
    if name == "worker" and "workers" in pools:
        wanted = [{"key": k, "operator": "In", "values": [v]} for k, v in sorted(pools["workers"].selector.items())]
        preferred = [{"weight": 100, "preference": {"matchExpressions": wanted}}]
        affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
        return {"affinity": affinity, "tolerations": _tolerations(pools["workers"])}
    return {}


def _tolerations(pool: Pool) -> list[dict[str, Any]]:
    return [{"key": t.key, "operator": "Equal", "value": t.value, "effect": t.effect} for t in pool.taints]
