"""Where logs, metrics, alarms and the audit trail go. The audit bucket may be the company's own."""

import pulumi_aws as aws
from pulumi import Input, Output

from infra.aws import access
from infra.aws.access import Allow
from infra.aws.foundation import AwsFoundation
from infra.capabilities import Keys, Network, Observability, Reach, Scope


def build(scope: Scope, foundation: AwsFoundation, network: Network, keys: Keys) -> Observability:
    logs = log_group(scope, keys, "platform")
    topic = aws.sns.Topic(scope.name("alerts"), kms_master_key_id=keys.data, opts=scope.own())
    if email := scope.settings.observability.alert_email:
        aws.sns.TopicSubscription(
            scope.name("alerts-email"), topic=topic.arn, protocol="email", endpoint=email, opts=scope.own()
        )
    _let_services_publish(scope, foundation, topic)
    metrics = aws.amp.Workspace(
        scope.name("metrics"), alias=scope.settings.prefix, kms_key_arn=keys.data, opts=scope.own()
    )
    bucket = _audit_bucket(scope, foundation)
    if scope.settings.observability.account_trail:
        _trail(scope, keys, bucket)
    if scope.settings.network.flow_logs:
        _flow_logs(scope, foundation, network, keys)
    return Observability(
        logs=logs.name,
        metrics=metrics.prometheus_endpoint,
        traces=f"https://xray.{scope.settings.region}.amazonaws.com/v1/traces",
        alerts=topic.arn,
        audit_bucket=bucket,
        inlets=[metrics.arn, logs.arn],
    )


def words(reach: Reach[AwsFoundation], *_: object) -> list[Allow]:
    metrics, logs = reach.ground.observability.inlets
    return [
        Allow(["aps:RemoteWrite"], [metrics]),
        Allow(["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], [Output.concat(logs, ":*")]),
        Allow(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"]),  # X-Ray knows no resource here
    ]


def log_group(scope: Scope, keys: Keys, label: str, *, name: str | None = None) -> aws.cloudwatch.LogGroup:
    return aws.cloudwatch.LogGroup(
        scope.name(label),
        name=name or f"/{scope.settings.application}/{scope.settings.environment}/{label}",
        retention_in_days=scope.settings.observability.log_days,
        kms_key_id=keys.data,
        opts=scope.own(),
    )


def _let_services_publish(scope: Scope, foundation: AwsFoundation, topic: aws.sns.Topic) -> None:
    services = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "backup.amazonaws.com"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": services},
                "Action": "sns:Publish",
                "Resource": topic.arn,
                "Condition": {"StringEquals": {"aws:SourceAccount": foundation.account}},
            }
        ],
    }
    aws.sns.TopicPolicy(scope.name("alerts"), arn=topic.arn, policy=Output.json_dumps(policy), opts=scope.own())


def _audit_bucket(scope: Scope, foundation: AwsFoundation) -> Input[str]:
    """S3 access logs can only be delivered to a bucket encrypted with S3's own key; CloudTrail adds ours per object."""
    if existing := scope.settings.observability.existing_log_bucket:
        return existing
    bucket = aws.s3.Bucket(
        scope.name("audit"), force_destroy=scope.settings.may_lose_data, opts=scope.own(protect=True)
    )
    aws.s3.BucketPublicAccessBlock(
        scope.name("audit"),
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=scope.own(),
    )
    aws.s3.BucketVersioning(
        scope.name("audit"), bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=scope.own()
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        scope.name("audit"),
        bucket=bucket.id,
        rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
        opts=scope.own(),
    )
    aws.s3.BucketLifecycleConfiguration(
        scope.name("audit"),
        bucket=bucket.id,
        rules=[
            {
                "id": "expire",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "expiration": {"days": max(365, scope.settings.observability.log_days)},
                "noncurrent_version_expiration": {"noncurrent_days": 30},
                "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
            }
        ],
        opts=scope.own(),
    )
    policy = aws.s3.BucketPolicy(
        scope.name("audit"), bucket=bucket.bucket, policy=_deliveries(foundation, bucket), opts=scope.own()
    )
    return policy.bucket  # the policy's, so that nothing is delivered before it allows it


def _deliveries(foundation: AwsFoundation, bucket: aws.s3.Bucket) -> Output[str]:
    ours = {"StringEquals": {"aws:SourceAccount": foundation.account}}
    objects = Output.concat(bucket.arn, "/*")
    services = ["cloudtrail.amazonaws.com", "logging.s3.amazonaws.com"]
    write = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "s3:PutObject", "Resource": objects}
    look = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudtrail.amazonaws.com"},
        "Action": "s3:GetBucketAcl",
        "Resource": bucket.arn,
    }
    plain = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket.arn, objects],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    statements = [{**write, "Condition": ours}, {**look, "Condition": ours}, plain]
    return Output.json_dumps({"Version": "2012-10-17", "Statement": statements})


def _trail(scope: Scope, keys: Keys, bucket: Input[str]) -> None:
    aws.cloudtrail.Trail(
        scope.name("audit"),
        s3_bucket_name=bucket,
        s3_key_prefix="cloudtrail",
        kms_key_id=keys.data,
        enable_log_file_validation=True,
        include_global_service_events=True,
        is_multi_region_trail=True,
        opts=scope.own(),
    )


def _flow_logs(scope: Scope, foundation: AwsFoundation, network: Network, keys: Keys) -> None:
    group = log_group(scope, keys, "flow")
    role = access.role(scope, "flow-logs", access.trust("vpc-flow-logs.amazonaws.com", foundation.account))
    write = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    granted = access.grant(scope, "flow-logs", role, [access.Allow(write, [group.arn, Output.concat(group.arn, ":*")])])
    aws.ec2.FlowLog(
        scope.name("flow"),
        vpc_id=network.id,
        traffic_type="REJECT" if scope.settings.is_small else "ALL",
        log_destination_type="cloud-watch-logs",
        log_destination=group.arn,
        iam_role_arn=role.arn,
        max_aggregation_interval=600,
        opts=scope.own(depends_on=[granted]),
    )
