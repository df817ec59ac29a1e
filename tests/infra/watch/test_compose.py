"""docker-compose.yml: valid, every image by digest or from our recipe, every container's settings complete."""

import json
import re
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft7Validator

from k8s.workloads.containers import CONTAINERS, IMAGES, SCRAPED, USER
from k8s.workloads.environment import CACHE
from k8s.workloads.own import CLASSES
from services.core.kit.settings import read_settings
from tests.infra.watch.test_watch import ROOT

FILE = ROOT / "docker-compose.yml"
PROMETHEUS = yaml.safe_load((ROOT / "infra/watch/prometheus.yaml").read_text("utf-8"))
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
OURS = tuple(CONTAINERS)


def compose() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text("utf-8"))


def service(name: str) -> dict[str, Any]:
    return compose()["services"][name]


def filled(value: str) -> str:
    """As compose fills it in: a default is taken, what must be given is given."""
    return VARIABLE.sub(lambda found: found[3] if found[2] == "-" else "given", value)


def test_it_is_a_compose_file() -> None:
    """By the specification's own schema."""
    problems = list(Draft7Validator(get_builtin_schema("vendor.compose-spec")).iter_errors(compose()))
    assert problems == []


def test_nothing_of_others_runs_under_a_tag() -> None:
    """Images of others have no default: whoever starts them names a digest, and is told so."""
    for name, one in compose()["services"].items():
        if name not in OURS:
            assert re.fullmatch(r"\$\{\w+:\?[^}]*@sha256:[^}]*\}", one["image"]), name


@pytest.mark.parametrize("name", OURS)
def test_a_container_is_built_from_the_recipe_and_locked_in(name: str) -> None:
    """The same image, user and walls as in a cluster."""
    one = service(name)
    image = CONTAINERS[name].from_image
    arguments = one["build"]["args"]
    assert one["build"]["dockerfile"] == "infra/images/Dockerfile"
    assert arguments["CONTAINER"] == image
    assert {"BASE", "BUILDER"} <= set(arguments)
    assert (one["read_only"], one["user"], one["cap_drop"]) == (True, f"{USER}:{USER}", ["ALL"])
    assert any(CACHE in place for place in one["tmpfs"])
    assert f"POINTSMAN_{image.upper()}_IMAGE" in one["image"]


@pytest.mark.parametrize("name", OURS)
def test_settings_are_constructed_from_what_a_container_is_given(name: str) -> None:
    """None is missing, unknown or points at the container itself."""
    given = {key: filled(str(value)) for key, value in service(name)["environment"].items()}
    settings = read_settings(CLASSES[name], given)
    known = {f"POINTSMAN_{field.upper()}" for field in CLASSES[name].model_fields}
    everybodys = {"POINTSMAN_ROUTER_URL", "POINTSMAN_WORKER_URL"}
    assert {key.split("__")[0] for key in given if key.startswith("POINTSMAN_")} - everybodys <= known
    loose = {
        field: value for field, value in settings if any(word in str(value) for word in ("127.0.0.1", ".pointsman"))
    }
    assert loose == {}
    assert settings.database_url.get_secret_value().endswith("@postgres:5432/pointsman")


@pytest.mark.parametrize("name", ["gateway", "router", "worker", "rag"])
def test_ports_are_those_of_the_table(name: str) -> None:
    """Nothing is open beyond this machine; what one calls, the other serves."""
    ports = service(name).get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert all(int(port.rpartition(":")[2]) == CONTAINERS[name].port for port in ports)
    called = json.dumps([one.get("environment") for one in compose()["services"].values()])
    for port in re.findall(rf"http://{name}:(\d+)", called):
        assert int(port) in CONTAINERS[name].ports.values()


def test_prometheus_scrapes_what_the_alerts_ask_for() -> None:
    """Jobs by the containers' names, at the ports where they tell their metrics."""
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in PROMETHEUS["scrape_configs"]}
    assert targets == {name: [f"{name}:{CONTAINERS[name].port}"] for name in SCRAPED}


def test_mounted_files_are_there() -> None:
    for one in compose()["services"].values():
        for volume in one.get("volumes", []):
            here = volume.split(":")[0]
            assert not here.startswith("./") or (ROOT / here).exists()


def test_every_image_of_ours_has_a_service() -> None:
    assert {service(name)["build"]["args"]["CONTAINER"] for name in OURS} == set(IMAGES)
    assert service("trainer")["build"]["args"]["TORCH"].startswith("torch==")
