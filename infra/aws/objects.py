"""Buckets for documents, models and the event lake: private, versioned, our key, access logged."""

from collections.abc import Sequence
from typing import Any

import pulumi_aws as aws
from pulumi import Output

from infra.aws.access import Allow
from infra.aws.foundation import AwsFoundation
from infra.capabilities import Ground, Objects, Reach, Scope
from infra.grants import Access, bucket_of


def build(scope: Scope, ground: Ground[AwsFoundation]) -> Objects:
    wanted = ["documents", "models"]
    wanted += ["lake"] if scope.settings.objects.event_lake else []
    wanted += ["deploy"] if scope.settings.is_small else []
    buckets = {name: _bucket(scope, ground, name) for name in wanted}
    return Objects(
        names={name: b.bucket for name, b in buckets.items()},
        urls={name: Output.concat("s3://", b.bucket) for name, b in buckets.items()},
    )


def words(reach: Reach[AwsFoundation], what: Access, _: Sequence[str]) -> list[Allow]:
    bucket, mode = bucket_of(what)
    if bucket not in reach.stores.objects.names:
        return []
    arn = Output.concat("arn:aws:s3:::", reach.stores.objects.names[bucket])
    actions = ["s3:GetObject"] if mode == "read" else _WRITE
    return [Allow(["s3:ListBucket"], [arn]), Allow(actions, [Output.concat(arn, "/*")])]


_WRITE = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]


def _bucket(scope: Scope, ground: Ground[AwsFoundation], label: str) -> aws.s3.Bucket:
    name = scope.name(label)
    bucket = aws.s3.Bucket(name, force_destroy=scope.settings.may_lose_data, opts=scope.own(protect=True))
    aws.s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=scope.own(),
    )
    aws.s3.BucketOwnershipControls(
        name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=scope.own()
    )
    aws.s3.BucketVersioning(name, bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=scope.own())
    ours: Any = {"sse_algorithm": "aws:kms", "kms_master_key_id": ground.keys.data}
    aws.s3.BucketServerSideEncryptionConfiguration(
        name,
        bucket=bucket.id,
        rules=[{"apply_server_side_encryption_by_default": ours, "bucket_key_enabled": True}],
        opts=scope.own(),
    )
    aws.s3.BucketLogging(
        name,
        bucket=bucket.id,
        target_bucket=ground.observability.audit_bucket,
        target_prefix=f"s3/{label}/",
        opts=scope.own(),
    )
    _lifecycle(scope, bucket, label)
    aws.s3.BucketPolicy(name, bucket=bucket.id, policy=_only_tls(bucket), opts=scope.own())
    return bucket


def _lifecycle(scope: Scope, bucket: aws.s3.Bucket, label: str) -> None:
    choices = scope.settings.objects
    tidy: Any = {
        "id": "tidy",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "noncurrent_version_expiration": {"noncurrent_days": choices.noncurrent_days},
        "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
    }
    cool: Any = {"transitions": [{"days": choices.archive_after_days, "storage_class": "GLACIER_IR"}]}
    aws.s3.BucketLifecycleConfiguration(
        scope.name(label),
        bucket=bucket.id,
        rules=[{**tidy, **cool} if label == "lake" else tidy],
        opts=scope.own(),
    )


def _only_tls(bucket: aws.s3.Bucket) -> Output[str]:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket.arn, Output.concat(bucket.arn, "/*")],
        "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    }
    insecure = {**statement, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    return Output.json_dumps({"Version": "2012-10-17", "Statement": [statement, insecure]})
