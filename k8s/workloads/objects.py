"""Every object of the workloads, in the order in which they are applied. Names and numbers come from containers.py."""

import hashlib
import json
from dataclasses import replace
from typing import Any

from infra.contract import RUN_GIB, Contract
from k8s.workloads import llm
from k8s.workloads.containers import CANARY, COMPARING, CONTAINERS
from k8s.workloads.entry import way_in
from k8s.workloads.environment import needs_authority
from k8s.workloads.pods import BATCH, ONLINE, RUN, RUN_CLAIM, Rollout, pod, resources, template
from k8s.workloads.vault import external
from k8s.workloads.walls import labels, policies

Object = dict[str, Any]
POD_SECURITY = "restricted"
ADMISSION = "v1.33"  # the oldest version that the rendered objects are checked against
TRAINING = "23 2 * * 0"  # Sunday night, UTC
COMPARISON = "41 * * * *"  # a candidate beside the champion
COMPARISON_LIMIT_S = 3_000
DISK = "pointsman-disk"
UTILISATION = 70
REPLICAS = {"gateway": (2, 6), "router": (2, 6), "worker": (1, 6), "rag": (1, 4)}  # least, most
TICKETS_PER_WORKER = 50  # waiting; one worker takes some twenty a second


def objects(rollout: Rollout) -> list[Object]:
    """Namespace first, the migrator before those who need its users, the way in last."""
    contract = rollout.contract
    inside = [
        *(_account(contract, name) for name in CONTAINERS),
        *_authority(rollout),
        *_redaction(rollout),
        *_secrets(contract),
        *policies(contract),
        migrator(rollout),
        *_router(rollout),
        *_canary(rollout),
        *(llm.objects(rollout, rollout.llm) if rollout.llm else []),
        *_deployment(rollout, "gateway"),
        *_deployment(rollout, "rag"),
        *_worker(rollout),
        *_run_volume(rollout),
        _trainer(rollout),
        _comparison(rollout),
        *way_in(contract),
    ]
    return [_namespace(contract), *_priorities(), *_disks(contract), *(_placed(contract, one) for one in inside)]


def migrator(rollout: Rollout) -> Object:
    """A job's pod cannot change, so another pod is a job of its own, which tidies itself away."""
    pod = _job_pod(rollout, "migrator", "OnFailure")
    version = hashlib.sha256(json.dumps(pod, sort_keys=True).encode()).hexdigest()[:10]
    spec = {
        "backoffLimit": 6,
        "activeDeadlineSeconds": 1800,
        "ttlSecondsAfterFinished": 86_400,
        "template": pod,
    }
    return _object("batch/v1", "Job", f"migrator-{version}", spec)


def _namespace(contract: Contract) -> Object:
    words = {f"pod-security.kubernetes.io/{mode}": POD_SECURITY for mode in ("enforce", "audit", "warn")}
    words["pod-security.kubernetes.io/enforce-version"] = ADMISSION
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": contract.cluster.namespace, "labels": words}}


def _priorities() -> list[Object]:
    def made(name: str, value: int, **more: Any) -> Object:
        return {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
        } | more

    return [made(ONLINE, 100_000), made(BATCH, 1_000, preemptionPolicy="Never")]


def _disks(contract: Contract) -> list[Object]:
    """
    A kind of disk where the cluster has none of its own (EKS Auto Mode), or none with the operator's key (GKE).

    Source: docs.aws.amazon.com/eks/latest/userguide/create-storage-class.html,
    cloud.google.com/kubernetes-engine/docs/how-to/using-cmek.
    """
    made = {
        "eks": ("ebs.csi.eks.amazonaws.com", {"type": "gp3", "encrypted": "true"}),
        "gke": ("pd.csi.storage.gke.io", {"type": "pd-balanced", "disk-encryption-kms-key": contract.keys.data}),
    }
    if contract.cluster.kind not in made:
        return []
    provisioner, parameters = made[contract.cluster.kind]
    return [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": DISK},
            "provisioner": provisioner,
            "parameters": parameters,
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
        }
    ]


def _run_volume(rollout: Rollout) -> list[Object]:
    """What a reclaimed spot machine leaves of a training: design/adr/0306-a-disk-for-an-unfinished-training.md."""
    if rollout.is_small:
        return []
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "managed-csi" if rollout.contract.cluster.kind == "aks" else DISK,
        "resources": {"requests": {"storage": f"{RUN_GIB}Gi"}},
    }
    return [_object("v1", "PersistentVolumeClaim", RUN_CLAIM, spec)]


def _account(contract: Contract, name: str) -> Object:
    principal = contract.identity.principals[name]  # ty: ignore[invalid-argument-type]  # a container
    said = {
        "azure-workload-identity": {"azure.workload.identity/client-id": principal},
        "gke-workload-identity": {"iam.gke.io/gcp-service-account": principal},
    }.get(contract.identity.kind, {})
    metadata = {"name": name, **({"annotations": said} if said else {})}
    return _object("v1", "ServiceAccount", name) | {"metadata": metadata, "automountServiceAccountToken": False}


def _authority(rollout: Rollout) -> list[Object]:
    if not needs_authority(rollout.contract):
        return []
    return [_object("v1", "ConfigMap", "database-ca") | {"data": {"ca.pem": rollout.authority}}]


def _redaction(rollout: Rollout) -> list[Object]:
    if not rollout.rules:
        return []
    return [_object("v1", "ConfigMap", rollout.rules_name) | {"immutable": True, "data": {"rules.toml": rollout.rules}}]


def _secrets(contract: Contract) -> list[Object]:
    made = (external(tag, where) for tag, where in sorted(contract.secrets.connectors.items()))
    return [_object("external-secrets.io/v1", "ExternalSecret", name, spec) for name, spec in made]


def _deployment(rollout: Rollout, name: str) -> list[Object]:
    least, most = (1, 1) if rollout.is_small else REPLICAS[name]
    spec = {
        "revisionHistoryLimit": 5,
        "progressDeadlineSeconds": 600,
        "strategy": _roll(rollout),
        "selector": {"matchLabels": labels(name)},
        "template": template(rollout, name),
    }
    if rollout.is_small:
        return [_object("apps/v1", "Deployment", name, {"replicas": least, **spec}), _service(name)]
    # No replicas here: they are the autoscaler's, and each apply would set them back.
    return [_object("apps/v1", "Deployment", name, spec), _service(name), _budget(name), _autoscaler(name, least, most)]


def _roll(rollout: Rollout) -> Object:
    """On one machine there is room for one of each: the old one goes first, and senders repeat."""
    if rollout.is_small:
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def _router(rollout: Rollout) -> list[Object]:
    """KServe's own object where its controller runs; in `small` the same pod without it, under the same name."""
    if rollout.is_small:
        deployment, _ = _deployment(rollout, "router")
        return [deployment, _service("router")]
    spec = pod(rollout, "router")
    (container,) = spec["containers"]
    least, most = REPLICAS["router"]
    shared = {k: v for k, v in spec.items() if k not in ("containers", "volumes")}
    runtime = {
        "supportedModelFormats": [{"name": "pointsman-router", "version": "1", "autoSelect": False}],
        "protocolVersions": ["v2"],
        "containers": [{key: value for key, value in container.items() if key != "imagePullPolicy"}],
        "volumes": spec["volumes"],
    }
    predictor = {
        **shared,
        "labels": template(rollout, "router")["metadata"]["labels"],
        "minReplicas": least,
        "maxReplicas": most,
        "scaleMetric": "cpu",
        "scaleTarget": UTILISATION,
        "deploymentStrategy": _roll(rollout),
        "model": {
            "modelFormat": {"name": "pointsman-router", "version": "1"},
            "runtime": "pointsman-router",
            "protocolVersion": "v2",
        },
    }
    served = _object("serving.kserve.io/v1beta1", "InferenceService", "router", {"predictor": predictor})
    served["metadata"]["annotations"] = {
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": "hpa",
    }
    return [
        _object("serving.kserve.io/v1alpha1", "ServingRuntime", "pointsman-router", runtime),
        served,
        _service("router"),
        _budget("router"),
    ]


def _canary(rollout: Rollout) -> list[Object]:
    """
    One pod more behind the same Service, of another image: its share is one of all. Whole services beside each other,
    because KServe's own canary splits what comes through its gateway, and our callers come from inside.
    """
    if CANARY not in rollout.images:
        return []
    images = {name: image for name, image in rollout.images.items() if name != CANARY}
    runtime, served, *_ = _router(replace(rollout, images={**images, "router": rollout.images[CANARY]}))
    runtime["metadata"]["name"] = served["spec"]["predictor"]["model"]["runtime"] = f"pointsman-{CANARY}"
    served["metadata"]["name"] = CANARY
    served["spec"]["predictor"] |= {"minReplicas": 1, "maxReplicas": 1}
    return [runtime, served]


def _worker(rollout: Rollout) -> list[Object]:
    """A StatefulSet: the pod's name is the engine's executor, and a restart resumes its own work at once."""
    spec = {
        "serviceName": "worker",
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": labels("worker")},
        "template": template(rollout, "worker"),
    }
    if rollout.is_small:
        return [_object("apps/v1", "StatefulSet", "worker", {"replicas": 1, **spec}), _service("worker")]
    least, most = REPLICAS["worker"]
    return [
        _object("apps/v1", "StatefulSet", "worker", spec),
        _service("worker"),
        _budget("worker"),
        _scaled(rollout.contract, least, most),
    ]


def _scaled(contract: Contract, least: int, most: int) -> Object:
    """As many workers as tickets wait for, which the gateway says without a password; it is asked before scaling in."""
    asked = {
        "url": f"http://gateway.{contract.cluster.namespace}/health",
        "valueLocation": "tickets_waiting",
        "targetValue": str(TICKETS_PER_WORKER),
    }
    return _object(
        "keda.sh/v1alpha1",
        "ScaledObject",
        "worker",
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "worker"},
            "minReplicaCount": least,
            "maxReplicaCount": most,
            "pollingInterval": 15,
            "cooldownPeriod": 300,
            "fallback": {"failureThreshold": 3, "replicas": least},
            "triggers": [{"type": "metrics-api", "metadata": asked}],
        },
    )


def _trainer(rollout: Rollout) -> Object:
    """Once a week; a spot machine that is taken away costs one more try. The champion stays until a canary has won."""
    limit_s = rollout.contract.options.fine_tune_limit_s
    job = {
        "backoffLimit": 3,
        "activeDeadlineSeconds": 4 * limit_s,
        "template": _job_pod(rollout, "trainer", "OnFailure"),
    }
    return _scheduled("trainer", TRAINING, job, late_s=86_400)


def _comparison(rollout: Rollout) -> Object:
    """Every hour: what a canary would have answered, until it is promoted or dropped. On any machine, without a GPU."""
    found = _job_pod(rollout, "trainer", "Never")
    for place in ("nodeSelector", "tolerations"):
        found["spec"].pop(place, None)
    (container,) = found["spec"]["containers"]
    container["command"] = ["python", "-m", "services.trainer", "--shadow"]
    container["resources"] = resources(COMPARING)
    for inside, key in ((container, "volumeMounts"), (found["spec"], "volumes")):  # the disk may be at another machine
        inside[key] = [one for one in inside[key] if one["name"] != RUN]
    job = {"backoffLimit": 1, "activeDeadlineSeconds": COMPARISON_LIMIT_S, "template": found}
    return _scheduled("trainer-canary", COMPARISON, job, late_s=600)


def _scheduled(name: str, schedule: str, job: dict[str, Any], *, late_s: int) -> Object:
    spec = {
        "schedule": schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": late_s,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"spec": job},
    }
    return _object("batch/v1", "CronJob", name, spec)


def _job_pod(rollout: Rollout, name: str, restart: str) -> Object:
    found = template(rollout, name)
    found["spec"]["restartPolicy"] = restart
    return found


def _service(name: str) -> Object:
    spec = {"selector": labels(name), "ports": _service_ports(name)}
    found = _object("v1", "Service", CONTAINERS[name].service, spec)
    found["metadata"]["labels"] = labels(name)
    return found


def _service_ports(name: str) -> list[Object]:
    """80 for the one that everybody asks; a second one keeps its number."""
    outer = {"http": 80}
    return [
        {"name": port, "port": outer.get(port, number), "targetPort": port, "protocol": "TCP"}
        for port, number in CONTAINERS[name].ports.items()
    ]


def _budget(name: str) -> Object:
    chosen = {"matchLabels": labels(name)}
    return _object(
        "policy/v1",
        "PodDisruptionBudget",
        name,
        {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": chosen},
    )


def _autoscaler(name: str, least: int, most: int) -> Object:
    busy = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": UTILISATION}},
    }
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": least,
        "maxReplicas": most,
        "metrics": [busy],
    }
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", name, spec)


def _object(version: str, kind: str, name: str, spec: Object | None = None) -> Object:
    found: Object = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
    return found | ({"spec": spec} if spec is not None else {})


def _placed(contract: Contract, one: Object) -> Object:
    """In our namespace, with the labels that everything of ours carries."""
    common = {"app.kubernetes.io/part-of": "pointsman", "app.kubernetes.io/managed-by": "pointsman"}
    metadata = one["metadata"]
    return one | {
        "metadata": {
            **metadata,
            "namespace": contract.cluster.namespace,
            "labels": {**common, **metadata.get("labels", {})},
        }
    }
