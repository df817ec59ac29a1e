"""
Where logs, metrics, alarms and the audit trail go. The audit account may be the company's own.

Log Analytics encrypts with Microsoft's key: a customer key needs a dedicated cluster of 100 GB a day.
"""

from collections.abc import Sequence
from typing import Any

from pulumi import Input, Output
from pulumi_azure_native import applicationinsights, monitor, operationalinsights, storage
from pulumi_azure_native import network as net

from infra.azure import access
from infra.azure.access import Role
from infra.azure.account import account_with_our_key
from infra.azure.foundation import AzureFoundation
from infra.capabilities import Keys, Network, Observability, Reach, Scope
from infra.grants import Access

_SAMPLES = "Microsoft-PrometheusMetrics"
_ACTIVITY = ("Administrative", "Security", "Policy", "ServiceHealth", "Alert")


def build(scope: Scope, foundation: AzureFoundation, network: Network, keys: Keys) -> Observability:
    logs = _workspace(scope, foundation)
    metrics = monitor.AzureMonitorWorkspace(
        scope.name("metrics"), resource_group_name=foundation.group, opts=scope.own()
    )
    if scope.settings.observability.subscription_log:
        _activity(scope, logs)
    traces = _traces(scope, foundation, logs)
    archive = scope.settings.observability.existing_log_bucket or _archive(scope, foundation, keys)
    if scope.settings.network.flow_logs:
        _flow_logs(scope, foundation, network, archive)
    by_default = metrics.default_ingestion_settings  # Azure makes a collection rule with the workspace
    return Observability(
        logs=logs.id,
        metrics=metrics.id,
        alerts=_action_group(scope, foundation).id,
        audit_bucket=archive,
        traces=traces.connection_string,
        inlets=[by_default.data_collection_rule_resource_id, traces.id],
        metrics_inlet=by_default.data_collection_endpoint_resource_id,
    )


def words(reach: Reach[AzureFoundation], _: Access) -> list[tuple[Role, Input[str]]]:
    return [(Role.METRICS_PUBLISHER, inlet) for inlet in reach.ground.observability.inlets]


def diagnose(
    scope: Scope, label: str, resource: Input[str], logs: Input[str], groups: Sequence[str] = ("audit",)
) -> None:
    """Send a resource's own log to the workspace; `groups` are Azure's category groups."""
    monitor.DiagnosticSetting(
        scope.name(label),
        resource_uri=resource,
        workspace_id=logs,
        logs=[{"category_group": group, "enabled": True} for group in groups],
        opts=scope.own(),
    )


def collect_metrics(scope: Scope, foundation: AzureFoundation, watch: Observability, cluster: Input[str]) -> None:
    """AKS's own agent scrapes; without a rule that is tied to the cluster its samples go nowhere."""
    store: Any = {"account_resource_id": watch.metrics, "name": "metrics"}
    rule = monitor.DataCollectionRule(
        scope.name("metrics"),
        resource_group_name=foundation.group,
        kind="Linux",
        data_collection_endpoint_id=watch.metrics_inlet,
        data_sources={"prometheus_forwarder": [{"name": "scraped", "streams": [_SAMPLES]}]},
        destinations={"monitoring_accounts": [store]},
        data_flows=[{"streams": [_SAMPLES], "destinations": ["metrics"]}],
        opts=scope.own(),
    )
    monitor.DataCollectionRuleAssociation(
        scope.name("metrics"),
        association_name="metrics",
        resource_uri=cluster,
        data_collection_rule_id=rule.id,
        opts=scope.own(),
    )


def _activity(scope: Scope, logs: operationalinsights.Workspace) -> None:
    monitor.SubscriptionDiagnosticSetting(
        scope.name("activity"),
        workspace_id=logs.id,
        logs=[{"category": category, "enabled": True} for category in _ACTIVITY],
        opts=scope.own(),
    )


def _traces(
    scope: Scope, foundation: AzureFoundation, logs: operationalinsights.Workspace
) -> applicationinsights.Component:
    """Takes spans and log lines of the telemetry identity; its connection string alone opens nothing."""
    return applicationinsights.Component(
        scope.name("traces"),
        resource_group_name=foundation.group,
        application_type=applicationinsights.ApplicationType.WEB,
        kind="web",
        workspace_resource_id=logs.id,
        disable_local_auth=True,
        opts=scope.own(),
    )


def _workspace(scope: Scope, foundation: AzureFoundation) -> operationalinsights.Workspace:
    choices = scope.settings.observability
    return operationalinsights.Workspace(
        scope.name("logs"),
        resource_group_name=foundation.group,
        sku={"name": operationalinsights.WorkspaceSkuNameEnum.PER_GB2018},
        retention_in_days=choices.log_days,
        workspace_capping={"daily_quota_gb": choices.log_cap_gb_per_day},
        features={"disable_local_auth": True},
        opts=scope.own(),
    )


def _action_group(scope: Scope, foundation: AzureFoundation) -> monitor.ActionGroup:
    email = scope.settings.observability.alert_email
    receivers: Any = [{"name": "platform", "email_address": email, "use_common_alert_schema": True}] if email else []
    return monitor.ActionGroup(
        scope.name("alerts"),
        resource_group_name=foundation.group,
        location="Global",
        enabled=True,
        group_short_name=scope.settings.application,
        email_receivers=receivers,
        tags=scope.settings.required_tags,
        opts=scope.own(),
    )


_TRUSTED = {"default_action": "Deny", "bypass": "AzureServices"}  # Azure's own log writers, and nobody else


def _archive(scope: Scope, foundation: AzureFoundation, keys: Keys) -> Output[str]:
    account = account_with_our_key(scope, foundation, keys, label="aud", public="Disabled", rules=_TRUSTED)
    rule: Any = {
        "name": "expire",
        "type": "Lifecycle",
        "enabled": True,
        "definition": {
            "filters": {"blob_types": ["blockBlob", "appendBlob"]},
            "actions": {
                "base_blob": {"delete": {"days_after_modification_greater_than": scope.settings.observability.log_days}}
            },
        },
    }
    storage.ManagementPolicy(
        scope.name("audit"),
        resource_group_name=foundation.group,
        account_name=account.name,
        management_policy_name="default",
        policy={"rules": [rule]},
        opts=scope.own(),
    )
    return account.id


def _flow_logs(scope: Scope, foundation: AzureFoundation, network: Network, archive: Input[str]) -> None:
    """The account takes no shared key, so the flow log writes under an identity of its own."""
    writer = access.identity(scope, foundation, "flow")
    granted = access.assign(scope, foundation, "flow", Role.BLOB_CONTRIBUTOR, to=writer.principal_id, at=archive)
    region = scope.settings.region  # Azure makes this watcher by itself with the first network of a region
    net.FlowLog(
        scope.name("flow"),
        resource_group_name="NetworkWatcherRG",
        network_watcher_name=f"NetworkWatcher_{region}",
        location=region,
        target_resource_id=network.id,
        storage_id=archive,
        enabled=True,
        retention_policy={"enabled": True, "days": scope.settings.observability.log_days},
        format={"type": net.FlowLogFormatType.JSON, "version": 2},
        identity={"type": net.ResourceIdentityType.USER_ASSIGNED, "user_assigned_identities": [writer.id]},
        opts=scope.own(depends_on=access.settled(scope, "flow", [granted])),
    )
