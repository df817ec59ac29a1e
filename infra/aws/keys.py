"""One customer-managed key for everything at rest, rotated every year, usable by the services that encrypt for us."""

import pulumi_aws as aws
from pulumi import Output

from infra.aws.foundation import AwsFoundation
from infra.capabilities import Keys, Scope

_VIA_SERVICE = ("logs.{region}", "cloudtrail", "sns", "cloudwatch", "budgets", "events", "backup")


def build(scope: Scope, foundation: AwsFoundation) -> Keys:
    key = aws.kms.Key(
        scope.name("data"),
        description=f"Data at rest of {scope.settings.prefix}",
        enable_key_rotation=True,
        rotation_period_in_days=365,
        deletion_window_in_days=30,
        policy=_policy(scope, foundation),
        opts=scope.own(protect=True),
    )
    aws.kms.Alias(
        scope.name("data"), name=f"alias/{scope.settings.prefix}-data", target_key_id=key.key_id, opts=scope.own()
    )
    return Keys(data=key.arn)


def _policy(scope: Scope, foundation: AwsFoundation) -> Output[str]:
    """The account's IAM decides who may use the key; services may use it for resources of this account only."""
    services = [f"{s.format(region=scope.settings.region)}.amazonaws.com" for s in _VIA_SERVICE]
    use = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    root = {"AWS": Output.concat("arn:aws:iam::", foundation.account, ":root")}
    return Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Sid": "Account", "Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"},
                {
                    "Sid": "Services",
                    "Effect": "Allow",
                    "Principal": {"Service": services},
                    "Action": use,
                    "Resource": "*",
                    "Condition": {"StringEqualsIfExists": {"aws:SourceAccount": foundation.account}},
                },
            ],
        }
    )
