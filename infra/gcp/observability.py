"""Where logs, metrics, alarms and the audit trail go: one log bucket of ours, under our key, with a retention."""

import pulumi_gcp as gcp
from pulumi import Input, Output

from infra.capabilities import Keys, Network, Observability, Reach, Scope
from infra.gcp import access
from infra.gcp.foundation import GcpFoundation
from infra.grants import Access

# Reads of these are worth a line each; all administrative writes are logged by Google anyway, free of charge.
_AUDITED = ("cloudkms", "secretmanager", "cloudsql")


def build(scope: Scope, foundation: GcpFoundation, network: Network, keys: Keys) -> Observability:
    bucket = _log_bucket(scope, foundation, keys)
    for service in _AUDITED:
        audit(scope, service)
    metrics = f"https://monitoring.googleapis.com/v1/projects/{foundation.project}/location/global/prometheus"
    return Observability(
        logs=bucket,
        metrics=metrics,
        traces="https://telemetry.googleapis.com/v1/traces",
        alerts=_channel(scope),
        audit_bucket=bucket,
    )


def words(scope: Scope, _reach: Reach[GcpFoundation], label: str, member: Input[str], _: Access) -> None:
    for role in ("logging.logWriter", "monitoring.metricWriter", "cloudtrace.agent"):
        access.on_project(scope, f"{label}-{role.split('.')[0]}", f"roles/{role}", member)


def audit(scope: Scope, service: str) -> None:
    """Data-access log of one service: who read or wrote what, without the payload."""
    gcp.projects.IAMAuditConfig(
        scope.name(f"audit-{service}"),
        project=scope.settings.account,
        service=f"{service}.googleapis.com",
        audit_log_configs=[{"log_type": kind} for kind in ("ADMIN_READ", "DATA_READ", "DATA_WRITE")],
        opts=scope.own(),
    )


def _log_bucket(scope: Scope, foundation: GcpFoundation, keys: Keys) -> Input[str]:
    if existing := scope.settings.observability.existing_log_bucket:
        destination: Input[str] = existing
    else:
        bucket = gcp.logging.ProjectBucketConfig(
            scope.name("logs"),
            project=foundation.project,
            location=scope.settings.region,
            bucket_id=scope.name("logs"),
            retention_days=scope.settings.observability.log_days,
            cmek_settings={"kms_key_name": keys.data},
            opts=scope.own(depends_on=keys.ready),
        )
        destination = bucket.id
    gcp.logging.ProjectSink(
        scope.name("logs"),
        destination=Output.concat("logging.googleapis.com/", destination),
        filter=_everything_but_noise(scope),
        unique_writer_identity=True,
        opts=scope.own(),
    )
    if scope.settings.observability.exclude_default_sink:
        _no_second_copy(scope, foundation)
    return destination


def _no_second_copy(scope: Scope, foundation: GcpFoundation) -> None:
    """Google's own sink keeps every line again, under its own key and on the bill."""
    gcp.logging.ProjectExclusion(
        scope.name("logs"),
        project=foundation.project,
        filter="severity>=DEFAULT",
        description="kept in our own bucket",
        opts=scope.own(),
    )


def _everything_but_noise(scope: Scope) -> str:
    """Without a daily cap on Google Cloud, `small` keeps warnings, audit lines and what our own containers say."""
    if not scope.settings.is_small:
        return "severity>=DEFAULT"
    return 'severity>=WARNING OR logName:"cloudaudit.googleapis.com" OR resource.type="k8s_container"'


def _channel(scope: Scope) -> Input[str]:
    email = scope.settings.observability.alert_email
    if not email:
        return "none"
    channel = gcp.monitoring.NotificationChannel(
        scope.name("alerts"),
        display_name="Platform",
        type="email",
        labels={"email_address": email},
        opts=scope.own(),
    )
    return channel.name
