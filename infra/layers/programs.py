"""
The programs of `infra/stacks/platform` and `infra/stacks/workloads`.

A stack of theirs is called `<cloud>-<profile>` and reads the contract of that cloud's stack. Settings of the platform:
who hears of alerts. Of the workloads: the images, the authority of a database whose vendor publishes one, redaction's
rules, a language model of one's own, further settings of the containers.
"""

import json
from collections.abc import Callable

import pulumi

from infra.contract import Contract, read_contract
from infra.layers import bucket
from infra.layers.cluster import Cluster
from k8s.pages import as_yaml
from k8s.platform.alerting import NOBODY, alertmanager, with_receiver
from k8s.platform.charts import Chart, charts
from k8s.platform.objects import addons, after, before
from k8s.workloads.objects import objects
from k8s.workloads.run import as_yaml as rendered
from k8s.workloads.run import rollout_of
from services.core.kit.errors import ConfigurationInvalid

CLOUDS = ("aws", "azure", "gcp")
Layer = Callable[[Contract], None]


def main(layer: Layer) -> None:
    """The contract is known before anything is made: of a stack that is up, in a preview too."""
    cloud, profile = stack_of(pulumi.get_stack())
    ground = pulumi.StackReference(f"{pulumi.get_organization()}/pointsman-{cloud}/{profile}")
    ground.require_output("contract").apply(lambda found: layer(read_contract(_text(found))))


def stack_of(name: str) -> tuple[str, str]:
    """
    `aws-prod` -> (aws, prod).

    Raises:
        ConfigurationInvalid: no such name; a profile's name is the cloud's stack's own and may be any word.
    """
    cloud, _, profile = name.partition("-")
    if cloud not in CLOUDS or not profile:
        raise ConfigurationInvalid(f"Stack {name!r} names no cloud and stack. Call it CLOUD-STACK, such as aws-prod.")
    return cloud, profile


def platform(contract: Contract) -> None:
    """Machines and namespaces, then charts, then what needs the kinds that charts bring."""
    if contract.is_small:
        bucket.put(contract, bucket.ADDONS, as_yaml(addons(contract)))
        return
    cluster = Cluster.of(contract)
    ready = [cluster.apply(one) for one in before(contract)]
    releases: dict[str, pulumi.Resource] = {}
    for chart in charts(contract):
        first = [releases[name] for name in chart.after]
        releases[chart.name] = cluster.install(_told(contract, chart), behind=[*ready, *first])
    for one in after(contract):
        cluster.apply(one, behind=list(releases.values()))


def _told(contract: Contract, chart: Chart) -> Chart:
    """
    Prometheus' chart with the receiver of alerts, which is a secret: it is encrypted in the stack's settings.

    Raises:
        ConfigurationInvalid: `prod` has none.
    """
    if chart.name != "prometheus":
        return chart
    receiver = pulumi.Config("pointsman").get_secret("receiver")
    if receiver is None and contract.profile == "prod":
        raise ConfigurationInvalid(NOBODY)
    if receiver is None:
        pulumi.log.warn(NOBODY)
        return chart
    return chart.model_copy(update={"values": with_receiver(chart.values, receiver.apply(alertmanager))})


def workloads(contract: Contract) -> None:
    """
    In the order of rendering: the namespace first, then what the migrator needs, the migrator, and who waits for it.
    `small` gets what comes after the charts in the same file: the machine repeats until their kinds are there.
    """
    config = pulumi.Config("pointsman")
    rollout = rollout_of(
        contract,
        images=config.get("images"),
        authority=config.get("authority"),
        rules=config.get("rules") or "",
        llm=config.get("llm") or "",
        own=config.get("environment"),
    )
    if contract.is_small:
        bucket.put(contract, bucket.WORKLOADS, rendered(rollout))
        return
    cluster, behind = Cluster.of(contract), []
    for one in objects(rollout):
        made = cluster.apply(one, behind=behind)
        if one["kind"] in ("Namespace", "Job"):
            behind = [*behind, made]


def _text(found: object) -> str:
    """The engine's numbers are floats; a contract's are whole."""
    return json.dumps(json.loads(json.dumps(found), parse_float=lambda number: int(float(number))))
