"""A monthly budget of the project that speaks up at half, at four fifths and at all of it."""

import pulumi_gcp as gcp
from pulumi import Output

from infra.capabilities import Ground, Scope
from infra.gcp.foundation import GcpFoundation
from infra.settings import BUDGET_SHARES_PERCENT


def build(scope: Scope, ground: Ground[GcpFoundation]) -> None:
    choices = scope.settings.budget
    # With a person's credentials the billing interface asks whose quota it is, and answers 403 to silence.
    payer = gcp.Provider(
        scope.name("budget"), billing_project=ground.foundation.project, user_project_override=True, opts=scope.own()
    )
    channel = [ground.observability.alerts] if scope.settings.observability.alert_email else []
    gcp.billing.Budget(
        scope.name("monthly"),
        billing_account=choices.billing_account or "",  # settings insist on it on Google Cloud
        display_name=scope.name("monthly"),
        amount={"specified_amount": {"currency_code": "USD", "units": str(choices.usd_per_month)}},
        budget_filter={
            "projects": [Output.concat("projects/", ground.foundation.number)],
            "labels": {"stack": scope.settings.prefix},
        },
        threshold_rules=[{"threshold_percent": share / 100} for share in BUDGET_SHARES_PERCENT],
        all_updates_rule={"monitoring_notification_channels": channel, "disable_default_iam_recipients": False},
        opts=scope.own(provider=payer),
    )
