"""What wakes a person: dead letters, a busy or full database, errors at the edge. All go to the one channel."""

from dataclasses import dataclass
from typing import Any

import pulumi_gcp as gcp
from pulumi import Input, Output

from infra.capabilities import Edge, Ground, Scope, Stores
from infra.gcp.foundation import GcpFoundation


@dataclass(frozen=True)
class Alarm:
    filter: Input[str]
    threshold: float
    aligner: str = "ALIGN_MEAN"


def build(scope: Scope, ground: Ground[GcpFoundation], stores: Stores, edge: Edge) -> None:
    channel = ground.observability.alerts
    for label, alarm in _alarms(scope, ground, stores).items():
        condition: Any = {
            "filter": alarm.filter,
            "comparison": "COMPARISON_GT",
            "threshold_value": alarm.threshold,
            "duration": "300s",
            "aggregations": [{"alignment_period": "300s", "per_series_aligner": alarm.aligner}],
        }
        gcp.monitoring.AlertPolicy(
            scope.name(label),
            display_name=scope.name(label),
            combiner="OR",
            conditions=[{"display_name": label, "condition_threshold": condition}],
            notification_channels=[channel] if scope.settings.observability.alert_email else [],
            alert_strategy={"auto_close": "86400s"},
            opts=scope.own(),
        )


def _alarms(scope: Scope, ground: Ground[GcpFoundation], stores: Stores) -> dict[str, Alarm]:
    database = Output.concat(ground.foundation.project, ":", stores.database.server)
    alarms = {
        "dead-letters": Alarm(
            Output.concat(
                'resource.type="pubsub_subscription"'
                ' AND metric.type="pubsub.googleapis.com/subscription/num_undelivered_messages"'
                ' AND resource.labels.subscription_id="',
                stores.bus.alarmed_by,
                '"',
            ),
            0,
            "ALIGN_MAX",
        ),
        "database-cpu": Alarm(_sql("cpu/utilization", database), 0.8),
        "database-disk": Alarm(_sql("disk/utilization", database), 0.85),
    }
    if not scope.settings.is_small:
        errors = (
            'resource.type="https_lb_rule" AND metric.type="loadbalancing.googleapis.com/https/request_count"'
            " AND metric.labels.response_code_class=500"
        )
        alarms["edge-errors"] = Alarm(errors, 0.1, "ALIGN_RATE")
    return alarms


def _sql(metric: str, database: Output[str]) -> Output[str]:
    kind = f'resource.type="cloudsql_database" AND metric.type="cloudsql.googleapis.com/database/{metric}"'
    return Output.concat(kind, ' AND resource.labels.database_id="', database, '"')
