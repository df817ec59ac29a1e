"""
One training on several machines: the trainer's own pod as a Kubeflow TrainJob, with torchrun in front of its command.

Source: Kubeflow Trainer 2, trainer.kubeflow.org/v1alpha1: its torch policy tells torchrun by PET_* variables how many
machines there are, which one this is and where the first one listens.
"""

from typing import Any

from k8s.workloads.pods import RUN, Rollout, template
from k8s.workloads.walls import labels, policy, selected
from services.core.kit.errors import ConfigurationInvalid

Object = dict[str, Any]
GROUP = "trainer.kubeflow.org/v1alpha1"
NAME = "trainer-together"
NODE = "node"  # what the torch policy calls the job and the container that it speaks to
TORCHRUN = ("-m", "torch.distributed.run")


def train_together(rollout: Rollout, machines: int) -> list[Object]:
    """
    A runtime, the job that uses it, and what its pods may say to each other; Kubeflow Trainer is the operator's.

    Raises:
        ConfigurationInvalid: `small` has one machine.
    """
    if rollout.is_small:
        raise ConfigurationInvalid(
            "`small` has one machine: a training cannot be spread over several. It trains every week, or now: "
            f"kubectl -n {rollout.contract.cluster.namespace} create job now --from=cronjob/trainer"
        )
    found = [_wall(), _runtime(rollout, machines), _job(machines)]
    for one in found:
        one["metadata"]["namespace"] = rollout.contract.cluster.namespace
    return found


def _runtime(rollout: Rollout, machines: int) -> Object:
    job = {
        "name": NODE,
        "template": {
            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
            "spec": {"backoffLimit": 3, "template": _pod(rollout)},
        },
    }
    spec = {"mlPolicy": {"numNodes": machines, "torch": {}}, "template": {"spec": {"replicatedJobs": [job]}}}
    return {"apiVersion": GROUP, "kind": "TrainingRuntime", "metadata": {"name": NAME}, "spec": spec}


def _pod(rollout: Rollout) -> Object:
    """The weekly job's, but for what it is started by, and its run's folder: a disk belongs to one machine."""
    found = template(rollout, "trainer")
    (container,) = found["spec"]["containers"]
    program, *rest = container["command"]
    container |= {"name": NODE, "command": [program, *TORCHRUN, *rest]}
    others = [one for one in found["spec"]["volumes"] if one["name"] != RUN]
    found["spec"] |= {"restartPolicy": "OnFailure", "volumes": [*others, {"name": RUN, "emptyDir": {}}]}
    return found


def _job(machines: int) -> Object:
    spec = {
        "runtimeRef": {"apiGroup": GROUP.partition("/")[0], "kind": "TrainingRuntime", "name": NAME},
        "trainer": {"numNodes": machines, "numProcPerNode": 1},
    }
    return {"apiVersion": GROUP, "kind": "TrainJob", "metadata": {"name": NAME}, "spec": spec}


def _wall() -> Object:
    """Gradients go to ports that gloo and nccl choose themselves."""
    each_other = [selected(labels("trainer"))]
    return policy(NAME, labels("trainer"), [{"from": each_other}], [{"to": each_other}])
