"""What wakes a person: dead letters, a busy or full database, errors at the edge. All go to the one alert topic."""

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import Input, Output

from infra.aws.foundation import AwsFoundation
from infra.capabilities import Edge, Ground, Scope, Stores


@dataclass(frozen=True)
class Alarm:
    namespace: str
    metric: str
    threshold: float
    dimensions: dict[str, Input[str]]
    statistic: str = "Maximum"
    comparison: str = "GreaterThanThreshold"
    periods: int = 1


def build(scope: Scope, ground: Ground[AwsFoundation], stores: Stores, edge: Edge) -> None:
    for label, alarm in _alarms(scope, stores, edge).items():
        aws.cloudwatch.MetricAlarm(
            scope.name(label),
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions=alarm.dimensions,
            statistic=alarm.statistic,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            evaluation_periods=alarm.periods,
            period=300,
            treat_missing_data="notBreaching",
            alarm_actions=[ground.observability.alerts],
            ok_actions=[ground.observability.alerts],
            opts=scope.own(),
        )


def _alarms(scope: Scope, stores: Stores, edge: Edge) -> dict[str, Alarm]:
    kind = "DBClusterIdentifier" if scope.settings.database.scales else "DBInstanceIdentifier"
    database = {kind: _last(stores.database.id)}
    two_gib = 2 * 1024**3
    alarms = {
        "dead-letters": Alarm("AWS/SQS", "ApproximateNumberOfMessagesVisible", 0, {"QueueName": stores.bus.alarmed_by}),
        "database-cpu": Alarm("AWS/RDS", "CPUUtilization", 80, database, statistic="Average", periods=3),
    }
    if not scope.settings.database.scales:  # Aurora's storage has no end to come near
        alarms["database-disk"] = Alarm(
            "AWS/RDS", "FreeStorageSpace", two_gib, database, statistic="Minimum", comparison="LessThanThreshold"
        )
    if not scope.settings.is_small:
        alarms["edge-errors"] = Alarm(
            "AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", 10, {"LoadBalancer": edge.name}, statistic="Sum"
        )
    return alarms


def _last(arn: Input[str]) -> Input[str]:
    """The identifier at the end of an RDS ARN, which is what CloudWatch knows a database by."""
    return Output.from_input(arn).apply(lambda text: text.rsplit(":", 1)[-1])
