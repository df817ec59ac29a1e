"""Who hears of an alert: a receiver in Alertmanager's own words, with one route to it."""

from typing import Any

import yaml

from services.core.kit.errors import ConfigurationInvalid

Values = dict[str, Any]
# github.com/prometheus/alertmanager, docs/configuration.md, 2026-11-22. One that is not here is refused: a word that
# Alertmanager does not know keeps the whole of it from starting.
_SYSTEMS = (
    "discord", "email", "msteams", "opsgenie", "pagerduty", "pushover", "slack", "sns", "telegram", "victorops",
    "webex", "webhook", "wechat",
)  # fmt: skip
WAYS = tuple(f"{name}_configs" for name in _SYSTEMS)
NAME, NOWHERE = "people", "nowhere"
NOBODY = (
    "Nobody hears of an alert. Write a receiver in Alertmanager's words into a file, such as "
    "`webhook_configs: [{url: https://alerts.example.com/pointsman}]`, and give it to the platform: "
    "pointsman deploy CLOUD --profile NAME --from platform --receiver FILE"
)


def alertmanager(text: str) -> Values:
    """
    Alertmanager's configuration around the receiver. What pages is said again after an hour, the rest twice a day.

    Raises:
        ConfigurationInvalid: no receiver, or a way that Alertmanager does not have.
    """
    return {
        "route": {
            "receiver": NAME,
            "group_by": ["alertname"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                {"receiver": NOWHERE, "matchers": ['alertname = "Watchdog"']},
                {"receiver": NAME, "matchers": ['severity = "page"'], "repeat_interval": "1h"},
            ],
        },
        "receivers": [{"name": NAME, **_receiver(text)}, {"name": NOWHERE}],
    }


def with_receiver(values: Values, config: Any) -> Values:
    """The chart's values with it; `config` may be Pulumi's promise of one."""
    return values | {"alertmanager": {**values["alertmanager"], "config": config}}


def _receiver(text: str) -> Values:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise ConfigurationInvalid(f"The receiver is no YAML: {getattr(exc, 'problem', exc)}. {NOBODY}") from exc
    if not isinstance(found, dict) or not found or not all(isinstance(v, list) and v for v in found.values()):
        raise ConfigurationInvalid(f"The receiver names no way, or one without an address. {NOBODY}")
    if unknown := sorted(set(found) - set(WAYS)):
        raise ConfigurationInvalid(f"Alertmanager has no {unknown[0]!r}; it has {', '.join(WAYS)}.")
    return found
