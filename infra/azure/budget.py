"""A monthly budget of the resource group that speaks up at half, at four fifths and at all of it."""

from pulumi_azure_native import consumption

from infra.azure.foundation import AzureFoundation
from infra.capabilities import Ground, Scope
from infra.settings import BUDGET_SHARES_PERCENT


def build(scope: Scope, ground: Ground[AzureFoundation]) -> None:
    choices, email = scope.settings.budget, scope.settings.observability.alert_email
    consumption.Budget(
        scope.name("monthly"),
        budget_name=scope.name("monthly"),
        scope=ground.foundation.group_id,
        category=consumption.CategoryType.COST,
        amount=choices.usd_per_month,
        time_grain=consumption.TimeGrainType.MONTHLY,
        time_period={"start_date": f"{choices.start_month}-01T00:00:00Z"},
        notifications={
            f"at{share}": {
                "enabled": True,
                "operator": "GreaterThanOrEqualTo",
                "threshold": share,
                "threshold_type": "Actual",
                "contact_emails": [email] if email else [],
                "contact_groups": [ground.observability.alerts],
            }
            for share in BUDGET_SHARES_PERCENT
        },
        # A budget's start must lie in the month it is made in; moving it later would make a new one.
        opts=scope.own(ignore_changes=["timePeriod"]),
    )
