"""Grafana's dashboards, from a list of what each picture asks; `make golden` writes their JSON files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "dashboards"
WIDTH, HEIGHT = 8, 8  # three in a row of Grafana's 24
SOURCE = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True)
class Panel:
    """`asks`: legend -> PromQL. Units are Grafana's own words."""

    title: str
    asks: Mapping[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    help: str = ""


def rate(metric: str, by: str = "", where: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{where}[$__rate_interval]))"


def quantile(part: float, histogram: str) -> str:
    return f"histogram_quantile({part}, {rate(f'{histogram}_bucket', 'le')})"


TICKETS = (
    Panel("Waiting tickets", {"tickets": "max(pointsman_waiting_tickets)"}, kind="stat"),
    Panel("Dead letters", {"letters": "max(pointsman_dead_letters)"}, kind="stat", help="pointsman dead-letters list"),
    Panel(
        "Automation today",
        {
            "automatic": 'sum(increase(pointsman_decisions_total{band="AUTO_ROUTE"}[1d]))'
            " / sum(increase(pointsman_decisions_total[1d]))"
        },
        "percentunit",
        "stat",
    ),
    Panel("Webhook calls by outcome", {"{{outcome}}": rate("pointsman_deliveries_total", "outcome")}, "reqps"),
    Panel("Decisions by band", {"{{band}}": rate("pointsman_decisions_total", "band")}, "reqps"),
    Panel("Decisions by group", {"{{group}}": rate("pointsman_decisions_total", "group")}, "reqps"),
    Panel(
        "Webhook call to decision",
        {"half": quantile(0.5, "pointsman_decision_seconds"), "95 %": quantile(0.95, "pointsman_decision_seconds")},
        "s",
    ),
    Panel("Write-backs", {"{{connector}} {{result}}": rate("pointsman_writes_total", "connector, result")}, "reqps"),
    Panel("Reviews", {"{{outcome}}": "sum by (outcome) (increase(pointsman_corrections_total[1d]))"}),
)
PLATFORM = (
    Panel("What answers", {"{{dependency}}": "max by (dependency) (pointsman_dependency_up)"}, kind="stat"),
    Panel("Workers", {"workers": "max(pointsman_workers)"}, kind="stat"),
    Panel("Model", {"{{model_version}}": "max by (model_version) (pointsman_router_model_info)"}, kind="stat"),
    Panel(
        "Intake",
        {"half": quantile(0.5, "pointsman_ingest_seconds"), "99 %": quantile(0.99, "pointsman_ingest_seconds")},
        "s",
    ),
    Panel("Outbox", {"letters": "max(pointsman_outbox_pending_letters)"}),
    Panel(
        "Audit entries not linked yet",
        {"entries": "max(pointsman_audit_pending_entries)", "oldest, s": "max(pointsman_audit_pending_seconds)"},
    ),
    Panel("Router: texts", {"{{band}}": rate("pointsman_router_tickets_total", "band")}, "reqps"),
    Panel("Router: texts waiting", {"{{instance}}": "pointsman_router_queued_texts"}, help="refuses beyond 512"),
    Panel(
        "Router: confidence",
        {"mean": " / ".join(rate(f"pointsman_router_confidence_ratio_{part}") for part in ("sum", "count"))},
        "percentunit",
    ),
    Panel("Memory", {"{{job}}": "max by (job) (process_resident_memory_bytes)"}, "bytes"),
    Panel("Processor", {"{{job}}": rate("process_cpu_seconds_total", "job")}, "short"),
    Panel("Answering", {"{{job}}": "sum by (job) (up)"}, help="scrape targets of each container that answer"),
)
CHAT = (
    Panel("Messages without an answer", {"messages": "max(pointsman_chat_unanswered_messages)"}, kind="stat"),
    Panel(
        "Answered here today",
        {
            "answered": 'sum(increase(pointsman_chat_turns_total{action="continue"}[1d]))'
            " / sum(increase(pointsman_chat_turns_total[1d]))"
        },
        "percentunit",
        "stat",
    ),
    Panel(
        "Ratings",
        {"{{rating}}": "sum by (rating) (increase(pointsman_chat_ratings_total[1d]))"},
        help="1 to 5, a day",
    ),
    Panel("Turns by what was done", {"{{action}}": rate("pointsman_chat_turns_total", "action")}, "reqps"),
    Panel(
        "Making an answer",
        {"half": quantile(0.5, "pointsman_chat_turn_seconds"), "95 %": quantile(0.95, "pointsman_chat_turn_seconds")},
        "s",
    ),
)
MODELS = (
    Panel(
        "Since the newest model",
        {"{{which}}": "time() - max by (which) (pointsman_model_trained_timestamp_seconds)"},
        "s",
        "stat",
    ),
    Panel("Right on unseen tickets", {"{{which}}": "max by (which) (pointsman_model_accuracy_ratio)"}, "percentunit"),
    Panel(
        "Gates not passed",
        {"{{which}}": "max by (which) (pointsman_model_failed_gates)"},
        help="a newest one that failed some is not served: console, Models",
    ),
)
DASHBOARDS = {
    "tickets": ("Pointsman: tickets", TICKETS),
    "platform": ("Pointsman: platform", PLATFORM),
    "chat": ("Pointsman: chat and models", (*CHAT, *MODELS)),
}


def dashboard(name: str) -> dict[str, Any]:
    title, panels = DASHBOARDS[name]
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": f"pointsman-{name}",
        "title": title,
        "tags": ["pointsman"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source]},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, 24 // WIDTH)
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + i), "expr": ask, "legendFormat": legend, "datasource": SOURCE}
            for i, (legend, ask) in enumerate(panel.asks.items())
        ],
    }


def text(name: str) -> str:
    return json.dumps(dashboard(name), indent=2) + "\n"
