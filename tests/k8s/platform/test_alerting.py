"""Who hears of an alert: Alertmanager's own configuration, its routes, and what happens without anybody."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.offline.layers import program_of
from infra.offline.recorder import record
from k8s.platform.alerting import WAYS, alertmanager
from services.core.kit.errors import ConfigurationInvalid
from tests.planned import Plans

RECEIVER = """
slack_configs: [{api_url: https://hooks.example.com/a, channel: ops}]
email_configs: [{to: ops@example.com, from: pm@example.com, smarthost: "mail.example.com:587"}]
"""
needs_amtool = pytest.mark.skipif(
    shutil.which("amtool") is None, reason="apt-get install prometheus-alertmanager brings amtool"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(alertmanager(RECEIVER)))
    return path


def amtool(*arguments: str) -> str:
    done = subprocess.run(["amtool", *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_amtool
def test_alertmanager_takes_it(file: Path) -> None:
    assert "SUCCESS" in amtool("check-config", str(file))


@needs_amtool
@pytest.mark.parametrize(
    ("labels", "heard_by"),
    [
        (["alertname=GatewayDown", "severity=page"], "people"),
        (["alertname=DeadLetters", "severity=ticket"], "people"),
        (["alertname=Watchdog", "severity=none"], "nowhere"),
    ],
)
def test_each_alert_finds_its_way(file: Path, labels: list[str], heard_by: str) -> None:
    """Asked of Alertmanager's own router."""
    assert amtool("config", "routes", "test", f"--config.file={file}", *labels).strip() == heard_by


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no way"),
        ("people", "names no way"),
        ("webhook_configs: []", "without an address"),
        ("webhook_config: [{url: https://a.b}]", "has no 'webhook_config'"),
        ("name: x", "without an address"),
        ("a: [b", "is no YAML"),
    ],
)
def test_what_would_keep_alertmanager_from_starting_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=re.escape(said)):
        alertmanager(text)


def test_the_ways_are_alertmanagers_words() -> None:
    assert "webhook_configs" in WAYS
    assert all(re.fullmatch(r"[a-z]+_configs", name) for name in WAYS)


def test_prod_is_not_rolled_out_without_somebody_who_hears(plans: Plans) -> None:
    """`dev` is, with a warning; what is given reaches the chart as a secret."""
    for profile in ("prod", "dev"):
        program = program_of(plans["aws", profile], "platform")
        del program.config["pointsman:receiver"]
        if profile == "prod":
            with pytest.raises(ConfigurationInvalid, match=r"Nobody hears of an alert.*--receiver FILE"):
                record(program, simulate=True)
        else:
            assert record(program, simulate=True).resources
    found = record(program_of(plans["aws", "prod"], "platform"), simulate=True).resources
    (chart,) = (r for urn, r in found.items() if urn.endswith("Release::prometheus"))
    assert "made-up-for-a-plan" in str(chart.inputs["values"])
