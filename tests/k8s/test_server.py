"""Every overlay given to a real API server, where one is named: dry run, then for good, then once more."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.platform.objects import after, before
from k8s.rules import pods
from k8s.workloads.pods import Rollout
from tests.k8s.conftest import OVERLAYS, Rendered
from tests.k8s.server import Server, assets, started
from tests.k8s.workloads.check import UNSEEN

STAYS = ("Namespace", "CustomResourceDefinition")
Objects = list[dict[str, Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, definitions = assets(), os.environ.get("POINTSMAN_CRDS", "")
    if folder is None or not definitions:
        pytest.skip("KUBEBUILDER_ASSETS (setup-envtest use -p path 1.35) or POINTSMAN_CRDS names no folder")
    with started(folder, tmp_path_factory.mktemp("server")) as found:
        for file in sorted(Path(definitions).glob("*.yaml")):
            found.apply([one for one in yaml.safe_load_all(file.read_text()) if one])
        found.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        yield found


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_a_server_takes_every_object(
    stack: tuple[str, str], server: Server, rendered: Rendered, rollouts: dict[tuple[str, str], Rollout]
) -> None:
    """With its rules across fields, defaults and admission, which no schema knows; kinds without definition aside."""
    contract = rollouts[stack].contract
    found = [*before(contract), *after(contract), *rendered[stack]]
    known = [one for one in found if (one["apiVersion"], one["kind"]) not in UNSEEN]
    spaces = {one["metadata"].get("namespace") for one in known} - {None}
    server.apply([_space(name) for name in sorted(spaces)] + [one for one in known if one["kind"] == "Namespace"])
    try:
        server.apply(known, "--dry-run=server")
        server.apply(known)
        server.apply(known)
        server.apply(_pods(known, contract.cluster.namespace), "--dry-run=server")
    finally:
        gone = [one for one in known if one["kind"] not in STAYS]
        server.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", given=yaml.safe_dump_all(gone))


def test_a_server_refuses_what_pods_may_not(server: Server, rendered: Rendered) -> None:
    """Else a server without admission would make the test above say nothing."""
    space = next(one for one in rendered["aws", "prod"] if one["kind"] == "Namespace")
    server.apply([space])
    spec = {"hostNetwork": True, "containers": [{"name": "bad", "image": "bad:latest"}]}
    name = space["metadata"]["name"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "namespace": name}, "spec": spec}
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        server.apply([pod], "--dry-run=server")


def _pods(found: Objects, space: str) -> Objects:
    """As controllers would make them: only a pod itself is held against its namespace's level."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"pod-{at}", "namespace": space, "labels": labels},
            "spec": {**spec, "restartPolicy": spec.get("restartPolicy", "Always")},
        }
        for at, (who, labels, spec) in enumerate(pods(found))
        if not who.startswith("InferenceService/")  # KServe's mixture of two objects
    ]


def _space(name: str) -> dict[str, Any]:
    """Of what charts bring by themselves."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
