"""A monthly budget that speaks up at half, at four fifths and at all of it."""

import pulumi_aws as aws

from infra.aws.foundation import AwsFoundation
from infra.capabilities import Ground, Scope
from infra.settings import BUDGET_SHARES_PERCENT


def build(scope: Scope, ground: Ground[AwsFoundation]) -> None:
    email = scope.settings.observability.alert_email
    aws.budgets.Budget(
        scope.name("monthly"),
        budget_type="COST",
        time_unit="MONTHLY",
        limit_amount=str(scope.settings.budget.usd_per_month),
        limit_unit="USD",
        cost_filters=[{"name": "TagKeyValue", "values": [f"user:stack${scope.settings.prefix}"]}],
        notifications=[
            {
                "comparison_operator": "GREATER_THAN",
                "notification_type": "ACTUAL",
                "threshold": share,
                "threshold_type": "PERCENTAGE",
                "subscriber_sns_topic_arns": [ground.observability.alerts],
                "subscriber_email_addresses": [email] if email else [],
            }
            for share in BUDGET_SHARES_PERCENT
        ],
        opts=scope.own(),
    )
