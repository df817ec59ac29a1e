"""What wakes a person: dead letters, a busy or full database, errors at the edge. All go to the one action group."""

from dataclasses import dataclass

from pulumi import Input
from pulumi_azure_native import monitor

from infra.azure.foundation import AzureFoundation
from infra.capabilities import Edge, Ground, Scope, Stores


@dataclass(frozen=True)
class Alarm:
    resource: Input[str]
    metric: str
    threshold: float
    aggregation: str = "Average"


def build(scope: Scope, ground: Ground[AzureFoundation], stores: Stores, edge: Edge) -> None:
    for label, alarm in _alarms(scope, stores, edge).items():
        criterion = monitor.MetricCriteriaArgs(
            criterion_type="StaticThresholdCriterion",
            name=label,
            metric_name=alarm.metric,
            operator="GreaterThan",
            threshold=alarm.threshold,
            time_aggregation=alarm.aggregation,
        )
        monitor.MetricAlert(
            scope.name(label),
            resource_group_name=ground.foundation.group,
            location="global",
            enabled=True,
            severity=2,
            scopes=[alarm.resource],
            evaluation_frequency="PT5M",
            window_size="PT15M",
            # Typed, because the field is one of several shapes and Pulumi then leaves a plain dict's keys alone.
            criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
                odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria", all_of=[criterion]
            ),
            actions=[{"action_group_id": ground.observability.alerts}],
            opts=scope.own(),
        )


def _alarms(scope: Scope, stores: Stores, edge: Edge) -> dict[str, Alarm]:
    alarms = {
        "dead-letters": Alarm(stores.bus.alarmed_by, "DeadletteredMessages", 0, "Maximum"),
        "database-cpu": Alarm(stores.database.id, "cpu_percent", 80),
        "database-disk": Alarm(stores.database.id, "storage_percent", 85),
    }
    if not scope.settings.is_small:
        alarms["edge-errors"] = Alarm(edge.name, "Percentage5XX", 5)
    return alarms
