"""What is rendered, laid out for readers: one file for each container, one for the way in, one for what all share."""

from typing import Any

import yaml

from infra.contract import Contract
from k8s.platform.charts import charts
from k8s.platform.objects import addons, after, before
from k8s.workloads.containers import CONTAINERS
from k8s.workloads.walls import TELEMETRY

Object = dict[str, Any]
WAY_IN = (
    "Certificate",
    "Gateway",
    "GCPBackendPolicy",
    "GCPGatewayPolicy",
    "HTTPRoute",
    "HealthCheckPolicy",
    "TargetGroupBinding",
)


def pages(objects: list[Object]) -> dict[str, str]:
    """File name -> YAML; in each file the order is that of the whole."""
    names = list(dict.fromkeys(page(one) for one in objects))
    return {name: as_yaml([one for one in objects if page(one) == name]) for name in sorted(names)}


def platform_pages(contract: Contract) -> dict[str, str]:
    """The layer below: on `small` the file that the machine takes, elsewhere charts and objects as Pulumi has them."""
    if contract.is_small:
        return {"addons.yaml": as_yaml(addons(contract)), "platform.yaml": as_yaml(after(contract))}
    listed = [chart.model_dump(mode="json", exclude={"source", "installs", "memory_mib"}) for chart in charts(contract)]
    found = [*before(contract), *after(contract)]
    told = [one for one in found if one["metadata"].get("namespace") == TELEMETRY]
    return {
        "charts.yaml": as_yaml(listed),
        "platform.yaml": as_yaml([one for one in found if one not in told]),
        "watch.yaml": as_yaml(told),
    }


def page(one: Object) -> str:
    name = one["metadata"]["name"]
    if one["kind"] in WAY_IN:
        return "way-in.yaml"
    owners = (c for c in CONTAINERS if name in (c, f"pointsman-{c}") or name.startswith(f"{c}-"))
    return f"{next(owners, 'shared')}.yaml"


def as_yaml(objects: list[Object]) -> str:
    return yaml.dump_all(objects, Dumper=_Plain, sort_keys=False, width=120)


class _Plain(yaml.SafeDumper):
    """Without anchors: what is said twice stands there twice, as a reader and `kubectl diff` want it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
