"""
A language model of one's own: vLLM behind KServe on the GPU machines, asked by whoever asks models, and by nobody else.

Its weights are a `storageUri` of KServe's, fetched with the router's identity, which may read the bucket of models. The
operator names it, so it is none of our containers: no image, lock or grant of ours.
"""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.contract import Contract
from k8s.workloads.containers import CONTAINERS, USER, Target
from k8s.workloads.environment import TASKS, environment
from k8s.workloads.walls import IDENTITY, TELEMETRY, block, labels, namespace, policy, selected, web
from services.core.kit.errors import ConfigurationInvalid, InputInvalid

if TYPE_CHECKING:
    from k8s.workloads.pods import Rollout

NAME, SERVICE, PORT = "llm", "vllm", 8000
WEIGHTS = "/mnt/models"  # where KServe's initialiser puts them
CALLERS = tuple(sorted(one.name for one in CONTAINERS.values() if Target.MODELS in one.calls))
LOADS_S = 1200  # weights of 15 GB from a bucket, and the kernels' first compilation
SHARED_MEMORY = "2Gi"  # PyTorch's between its processes: docs.vllm.ai/en/latest/deployment/docker
Object = dict[str, Any]


class SelfHosted(BaseModel):
    """`name` is what callers send. A model of 8 billion parameters in 16 bits takes 16 of an L4's 24 GB."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: Annotated[str, Field(pattern=r"^\S+@sha256:[0-9a-f]{64}$")]
    model: Annotated[str, Field(pattern=r"^(s3|gs|https|oci|hf)://\S+$")]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w./-]{0,99}$")]
    context_tokens: int = Field(8192, ge=2048, le=131_072)
    replicas: int = Field(1, ge=1, le=8)
    memory_mib: int = Field(12_288, ge=2048)


def read_self_hosted(text: str) -> SelfHosted:
    """
    Raises:
        InputInvalid: no such JSON; says what is wrong.
    """
    try:
        return SelfHosted.model_validate_json(text)
    except ValidationError as exc:
        facts = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in exc.errors())
        example = '{"image": "vllm/vllm-openai@sha256:...", "model": "s3://acme-models/qwen3-8b", "name": "qwen3-8b"}'
        raise InputInvalid(f"The model of your own is not described ({facts}). For example: {example}") from exc


def refuse_without_machines(contract: Contract) -> None:
    """
    Raises:
        ConfigurationInvalid: no KServe or no GPU in this stack.
    """
    if contract.is_small:
        raise ConfigurationInvalid("`small` has no KServe and no GPU: name a model of the cloud in models.names.")
    if "gpu" not in contract.cluster.pools:
        raise ConfigurationInvalid("This stack has no GPU machines. Set `cluster: {gpu: true}` and run `pulumi up`.")


def settings(contract: Contract, chosen: SelfHosted | None) -> dict[str, dict[str, str]]:
    """Each container's, with this model in place of the cloud's where one is chosen."""
    found = environment(contract)
    if chosen is None:
        return found
    for name in TASKS:
        kept = {key: value for key, value in found[name].items() if not key.startswith("POINTSMAN_LLM__")}
        found[name] = kept | _told(chosen, name)
    return found


def _told(chosen: SelfHosted, name: str) -> dict[str, str]:
    """`standard`: no text leaves the cluster."""
    return {
        **{f"POINTSMAN_LLM__{task}": f"openai:{chosen.name}" for task in TASKS[name]},
        "POINTSMAN_LLM__OPENAI__BASE_URL": f"http://{SERVICE}/v1",
        "POINTSMAN_LLM__OPENAI__REDACTION": "standard",
    }


def objects(rollout: "Rollout", chosen: SelfHosted) -> list[Object]:
    return [*walls(rollout.contract), _runtime(chosen), _served(rollout, chosen), _service()]


def walls(contract: Contract) -> list[Object]:
    """The model reaches what its weights are in, and its identity; callers reach it beside what they reach already."""
    http = [{"protocol": "TCP", "port": "http"}]
    callers = [selected(labels(name)) for name in CALLERS]
    tokens = [
        {"to": [block(cidr)], "ports": [{"protocol": "TCP", "port": port}]}
        for cidr, port in IDENTITY[contract.identity.kind]
    ]
    own = policy(NAME, labels(NAME), [{"from": [*callers, namespace(TELEMETRY)], "ports": http}], [web(), *tokens])
    opened = [
        policy(f"{name}-{NAME}", labels(name), [], [{"to": [selected(labels(NAME))], "ports": http}])
        for name in CALLERS
    ]
    for one in opened:
        one["spec"]["policyTypes"] = ["Egress"]  # what may come in is the container's own wall's
        del one["spec"]["ingress"]
    return [own, *opened]


def _runtime(chosen: SelfHosted) -> Object:
    spec = {
        "supportedModelFormats": [{"name": "vllm", "version": "1", "autoSelect": False}],
        "protocolVersions": ["v2"],
        "containers": [_container(chosen)],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "10Gi"}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY}},
        ],
    }
    return _object("serving.kserve.io/v1alpha1", "ServingRuntime", NAME, spec)


def _container(chosen: SelfHosted) -> Object:
    health = {"httpGet": {"path": "/health", "port": "http"}}
    return {
        "name": "kserve-container",
        "image": chosen.image,
        "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
        "args": [
            f"--model={WEIGHTS}",
            f"--served-model-name={chosen.name}",
            f"--port={PORT}",
            f"--max-model-len={chosen.context_tokens}",
        ],
        "env": [{"name": key, "value": value} for key, value in sorted(_environment().items())],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {
            "requests": {"cpu": "1", "memory": f"{chosen.memory_mib}Mi", "ephemeral-storage": "1Gi"},
            "limits": {"memory": f"{chosen.memory_mib}Mi", "ephemeral-storage": "64Gi", "nvidia.com/gpu": "1"},
        },
        "startupProbe": {**health, "periodSeconds": 10, "failureThreshold": LOADS_S // 10},
        "readinessProbe": {**health, "periodSeconds": 10, "timeoutSeconds": 5},
        "livenessProbe": {**health, "periodSeconds": 20, "timeoutSeconds": 10, "failureThreshold": 6},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "shared-memory", "mountPath": "/dev/shm"}],  # noqa: S108
    }


def _environment() -> dict[str, str]:
    """Caches in the one place that it may write; its user has no name in the image; nobody is told of its use."""
    return {
        "HOME": "/tmp",  # noqa: S108, the pod's own
        "USER": "pointsman",
        "VLLM_CACHE_ROOT": "/tmp/vllm",  # noqa: S108
        "TORCHINDUCTOR_CACHE_DIR": "/tmp/inductor",  # noqa: S108
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }


def _served(rollout: "Rollout", chosen: SelfHosted) -> Object:
    gpu = rollout.contract.cluster.pools["gpu"]
    taints = [{"key": t.key, "operator": "Equal", "value": t.value, "effect": t.effect} for t in gpu.taints]
    predictor = {
        "labels": {**labels(NAME), **rollout.identity_labels},
        "serviceAccountName": "router",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": "pointsman-online",
        "nodeSelector": dict(gpu.selector),
        "tolerations": taints,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "minReplicas": chosen.replicas,
        "maxReplicas": chosen.replicas,
        "deploymentStrategy": {"type": "Recreate"},  # a second GPU for a minute is often not to be had
        "model": {
            "modelFormat": {"name": "vllm", "version": "1"},
            "runtime": NAME,
            "protocolVersion": "v2",
            "storageUri": chosen.model,
        },
    }
    found = _object("serving.kserve.io/v1beta1", "InferenceService", NAME, {"predictor": predictor})
    found["metadata"]["annotations"] = {
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": "hpa",
    }
    return found


def _service() -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    return _object("v1", "Service", SERVICE, {"selector": labels(NAME), "ports": ports})


def _object(version: str, kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
