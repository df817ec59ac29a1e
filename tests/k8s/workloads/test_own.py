"""An operator's own settings: from a file into the pods that read them, and from the vault."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from k8s.workloads.environment import environment
from k8s.workloads.llm import SelfHosted, settings
from k8s.workloads.objects import migrator, objects
from k8s.workloads.own import CLASSES, read_own
from k8s.workloads.pods import Rollout
from services.cli.__main__ import app
from services.core.kit.errors import ConfigurationInvalid, InputInvalid
from services.core.kit.settings import read_settings
from services.rag.mail import MailSettings
from services.rag.settings import RagSettings
from services.worker.settings import Filters, WorkerSettings
from tests.k8s.conftest import AUTHORITY, images

Rollouts = dict[tuple[str, str], Rollout]
OWN = """
worker:
  POINTSMAN_SHADOW: true
  POINTSMAN_FILTERS: {excluded_subjects: ["^out of office"]}
  POINTSMAN_LLM__PRIORITY: extractive
rag: {POINTSMAN_SHADOW: true}
"""


@pytest.fixture
def command(rollouts: Rollouts, tmp_path: Path) -> list[str]:
    """`pointsman render` of a stack that is up."""
    (tmp_path / "contract.json").write_text(rollouts["aws", "prod"].contract.model_dump_json())
    (tmp_path / "images.json").write_text(json.dumps(images()))
    (tmp_path / "ca.pem").write_text(AUTHORITY)
    (tmp_path / "own.yaml").write_text(OWN)
    found = [
        "render",
        "aws",
        "--contract",
        str(tmp_path / "contract.json"),
        "--environment",
        str(tmp_path / "own.yaml"),
    ]
    return [*found, "--images", str(tmp_path / "images.json"), "--authority", str(tmp_path / "ca.pem")]


def told(rendered: str) -> dict[str, dict[str, str]]:
    """The variables of each pod, by its container."""
    pods = [one["spec"].get("template", {}).get("spec", {}) for one in yaml.safe_load_all(rendered) if "spec" in one]
    found = [pod["containers"][0] for pod in pods if "containers" in pod]
    return {one["name"]: {row["name"]: row["value"] for row in one["env"]} for one in found}


def test_a_setting_of_ones_own_reaches_its_container_alone(command: list[str]) -> None:
    """As the container reads it: beside the contract's, and before its default of a model."""
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    found = told(done.stdout)
    worker = read_settings(WorkerSettings, found["worker"])
    assert (worker.shadow, worker.filters.excluded_subjects) == (True, ("^out of office",))
    assert (worker.llm.priority, worker.llm.summary[:7]) == ("extractive", "bedrock")
    assert found["rag"]["POINTSMAN_SHADOW"] == "true"
    assert {name for name, given in found.items() if "POINTSMAN_SHADOW" in given} == {"worker", "rag"}
    shown = CliRunner().invoke(app, [*command, "--settings", "rag"])
    assert "POINTSMAN_SHADOW=true\n" in shown.stdout


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("worker", "no mapping of containers to variables"),
        ("worker: [", "no YAML"),
        ("wroker: {}", "No container is called wroker"),
        ("worker: {POINTSMAN_SHADWO: true}", "worker reads no variable POINTSMAN_SHADWO"),
        ("gateway: {POINTSMAN_SHADOW: true}", "gateway reads no variable POINTSMAN_SHADOW"),
        ("worker: {POINTSMAN_SHADOW: maybe}", "POINTSMAN_SHADOW: Input should be a valid boolean"),
        ("worker: {POINTSMAN_FILTERS__EXCLUDED_SUBJECT: []}", "In FILTERS there are EXCLUDED_SUBJECTS"),
        ("worker: {POINTSMAN_DATABASE_URL: x}", "comes from the stack"),
        ("gateway: {POINTSMAN_GATEWAY_PORT: 9000}", "is the pod's"),
        ("worker: {POINTSMAN_WORKER_ID: one}", "is the pod's"),
        ("worker: {POINTSMAN_CONNECTORS__JIRA__TOKEN: x}", "belongs into the vault"),
        ("worker: {POINTSMAN_LLM__OPENAI__API_KEY: k-1}", "POINTSMAN_LLM__OPENAI__API_KEY holds a secret, which"),
        ("worker: {POINTSMAN_SHADOW: true}\nworker: {}", "Line 2 says 'worker' again"),
        ("worker:\n  POINTSMAN_SHADOW: true\n  POINTSMAN_SHADOW: false", "Line 3 says 'POINTSMAN_SHADOW' again"),
        ('worker: {POINTSMAN_NOTIFY: \'{"rules": [], "rules": []}\'}', "has a key twice: rules, rules"),
        ("worker: {POINTSMAN_shadow: true}", "in capitals: POINTSMAN_SHADOW"),
        ("worker: {POINTSMAN_SHADOW__X: true}", "It has no parts"),
        (
            "worker: {POINTSMAN_LLM: {priority: extractive}}",
            "POINTSMAN_LLM and POINTSMAN_LLM__BEDROCK__REGION say the same",
        ),
        ("worker: {POINTSMAN_FILTERS: {}, POINTSMAN_FILTERS__SKIP_GROUPED: true}", "say the same"),
        ("worker: {POINTSMAN_LLM__BEDROCK__REGION: eu-central-1}", "comes from the stack"),
        ("worker: {POINTSMAN_LOG_LEVEL: LOUD}", "no level is called LOUD"),
        ("worker: {POINTSMAN_ROUTER_PATIENCE_S: .inf}", "POINTSMAN_ROUTER_PATIENCE_S"),
        ("worker: {POINTSMAN_ROUTER_PATIENCE_S: 1:30}", "POINTSMAN_ROUTER_PATIENCE_S"),
        ("worker: {POINTSMAN_FILTERS: null}", "POINTSMAN_FILTERS"),
        ("worker: {POINTSMAN_FILTERS: {excluded_subjects: ['']}}", "is in every subject"),
        ("gcp: {POINTSMAN_SHADOW: &a true}", "No container is called gcp"),
        ("worker: {POINTSMAN_SHADOW: !env X}", "the tag !env"),
        ("worker: {POINTSMAN_EVENTS_URL: 'kafka://x'}", "no address of an event bus"),
        ("worker: {POINTSMAN_LLM__OPENAI__BASE_URL: 'https://u:p@llm.example.com'}", "holds a secret"),
        ("router: {POINTSMAN_ROUTER_MODEL_DIR: /no/such}", "/no/such is a file that no pod has"),
        (
            "worker: {POINTSMAN_FILTERS: {excluded_subjects: ['" + "x" * 100_001 + "']}}",
            "with which no pod would start",
        ),
        ("", "no mapping of containers to variables"),
        (
            "worker: {POINTSMAN_SHADOW: true, POINTSMAN_NOTIFY: {channels: {a: {kind: teams, url: 'https://x/s'}}, "
            "rules: [{to: a}]}}",
            "holds a secret, which whoever reads pods",
        ),
    ],
)
def test_what_nobody_would_read_is_refused(text: str, why: str, rollouts: Rollouts) -> None:
    """Before a rollout: a pod would end at its start, or go on without, which is worse."""
    with pytest.raises(InputInvalid, match=why):
        read_own(text, environment(rollouts["aws", "prod"].contract))


@pytest.mark.parametrize("stack", [("aws", "prod"), ("azure", "small"), ("gcp", "prod")], ids="-".join)
def test_the_vault_holds_what_else_is_secret(stack: tuple[str, str], rollouts: Rollouts) -> None:
    """A secret `settings`: its names, rewritten as external-secrets does, are read by the containers' own classes."""
    rollout = _with_secrets(rollouts[stack], "zendesk", "settings")
    made = {one["metadata"]["name"]: one for one in objects(rollout) if one["kind"] == "ExternalSecret"}
    (rewrite, capitals) = made["connector-settings"]["spec"]["dataFrom"][0]["rewrite"]
    rewrite = rewrite["regexp"]
    assert capitals == {"transform": {"template": "{{ .value | upper }}"}}
    channels = {"ops": {"kind": "slack_webhook", "url": "https://hooks.slack.example.com/s"}}
    kept = {"notify__channels": json.dumps(channels), "notify__rules": '[{"to": "ops"}]', "llm__openai__api_key": "k"}
    target = rewrite["target"].replace("$1", r"\1")
    variables = {re.sub(rewrite["source"], target, name, count=1).upper(): value for name, value in kept.items()}
    given = environment(rollout.contract)
    worker = read_settings(WorkerSettings, {**given["worker"], **variables})
    assert set(worker.notify.channels) == {"ops"}
    for name in ("gateway", "rag"):
        read_settings(CLASSES[name], {**given[name], **variables})
    assert given["rag"]["POINTSMAN_RAG_CONNECTOR"] == "zendesk"


def test_a_part_of_a_setting_may_be_named_by_itself(rollouts: Rollouts) -> None:
    """A mail server's port is none of the pod's."""
    text = "rag:\n" + "".join(
        f"  POINTSMAN_RAG_MAIL__{name}: {value}\n"
        for name, value in {"HOST": "mail.example.com", "PORT": 465, "SENDER": "chat@example.com"}.items()
    )
    told = environment(rollouts["aws", "prod"].contract)
    found = read_own(text, told)["rag"]
    assert read_settings(RagSettings, {**told["rag"], **found}).rag_mail == MailSettings(
        host="mail.example.com", port=465, sender="chat@example.com"
    )


def test_a_model_of_ones_own_keeps_its_address(rollouts: Rollouts) -> None:
    """Its text is redacted for a machine inside: another address would get it, too."""
    text = "worker: {POINTSMAN_LLM__OPENAI__BASE_URL: 'https://llm.example.com/v1'}"
    chosen = SelfHosted(image="vllm@sha256:" + "1" * 64, model="s3://acme/qwen", name="qwen")
    with pytest.raises(InputInvalid, match="comes from the stack"):
        read_own(text, settings(rollouts["aws", "prod"].contract, chosen))


def test_dollars_come_as_they_are_written(command: list[str], tmp_path: Path) -> None:
    """Kubernetes would put a variable in place of $(NAME), and make one dollar of two."""
    (tmp_path / "own.yaml").write_text("worker: {POINTSMAN_FILTERS: {excluded_subjects: ['cost \\$\\$', '\\$(X)']}}")
    found = told(CliRunner().invoke(app, command).stdout)["worker"]["POINTSMAN_FILTERS"]
    read = Filters.model_validate_json(found.replace("$$", "$"))
    assert read.excluded_subjects == ("cost \\$\\$", "\\$(X)")


def test_a_migrator_that_is_told_else_is_a_job_of_its_own(rollouts: Rollouts) -> None:
    """A job's pod cannot change: under the same name the whole rollout would be refused."""
    rollout = rollouts["aws", "prod"]
    other = replace(rollout, own={"migrator": {"POINTSMAN_LOG_LEVEL": "DEBUG"}})
    names = {migrator(one)["metadata"]["name"] for one in (rollout, rollout, other)}
    assert len(names) == 2


def test_a_secret_for_no_connector_is_refused(rollouts: Rollouts) -> None:
    """Its variables would end every container that reads connectors."""
    with pytest.raises(ConfigurationInvalid, match=r"No connector is called zendsk\. .*zendesk, and settings for"):
        _with_secrets(rollouts["aws", "prod"], "zendsk")


def _with_secrets(rollout: Rollout, *tags: str) -> Rollout:
    kept = rollout.contract.secrets
    named = kept.model_copy(update={"connectors": {tag: f"{kept.uri}/secrets/connector-{tag}" for tag in tags}})
    contract = rollout.contract.model_copy(update={"secrets": named})
    return Rollout(contract, rollout.images, rollout.authority)
