"""Buckets for documents, models and the event lake: private, versioned, our key; reads are in the audit log."""

from typing import Any

import pulumi_gcp as gcp
from pulumi import Input

from infra.capabilities import Ground, Objects, Reach, Scope
from infra.gcp.foundation import GcpFoundation
from infra.gcp.observability import audit
from infra.grants import Access, bucket_of


def build(scope: Scope, ground: Ground[GcpFoundation]) -> Objects:
    wanted = ["documents", "models"]
    wanted += ["lake"] if scope.settings.objects.event_lake else []
    wanted += ["deploy"] if scope.settings.is_small else []
    buckets = {name: _bucket(scope, ground, name) for name in wanted}
    audit(scope, "storage")
    return Objects(
        names={name: b.name for name, b in buckets.items()},
        urls={name: b.url for name, b in buckets.items()},
    )


def words(scope: Scope, reach: Reach[GcpFoundation], label: str, member: Input[str], what: Access) -> None:
    bucket, mode = bucket_of(what)
    names, role = reach.stores.objects.names, "objectViewer" if mode == "read" else "objectUser"
    if bucket in names:
        gcp.storage.BucketIAMMember(
            scope.name(label), bucket=names[bucket], role=f"roles/storage.{role}", member=member, opts=scope.own()
        )


def _bucket(scope: Scope, ground: Ground[GcpFoundation], label: str) -> gcp.storage.Bucket:
    choices = scope.settings.objects
    old: Any = {"action": {"type": "Delete"}, "condition": {"days_since_noncurrent_time": choices.noncurrent_days}}
    cool: Any = {
        "action": {"type": "SetStorageClass", "storage_class": "NEARLINE"},
        "condition": {"age": choices.archive_after_days},
    }
    return gcp.storage.Bucket(
        scope.name(label),
        location=scope.settings.region,
        storage_class="STANDARD",
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        versioning={"enabled": True},
        soft_delete_policy={"retention_duration_seconds": 7 * 24 * 3600},
        encryption={"default_kms_key_name": ground.keys.data},
        lifecycle_rules=[old, cool] if label == "lake" else [old],
        force_destroy=scope.settings.may_lose_data,
        opts=scope.own(protect=True, depends_on=ground.keys.ready),
    )
