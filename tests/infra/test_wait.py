"""The pause between a grant and its use, as the engine would run it."""

import base64
import pickle

import pulumi
import pytest

from infra import wait
from infra.offline.recorder import Program, record


def test_the_pause_is_what_was_asked_for_and_follows_the_grants() -> None:
    """State holds the provider by its name alone, so a change of the code is no change of the resource."""

    def main() -> None:
        grant = pulumi.ComponentResource("x:y:Z", "grant")
        wait.after("pause", [grant], 0, pulumi.ResourceOptions())

    recording = record(Program(main, "pointsman-aws", "test", {}, {}, {}), simulate=True)
    (pause,) = [r for r in recording.resources.values() if r.type == wait.WAIT]
    provider = pickle.loads(base64.b64decode(pause.inputs["__provider"]))
    result = provider.create({"seconds": pause.inputs["seconds"]})
    assert (result.id, pause.inputs["seconds"]) == ("waited", 0)
    assert b"infra.wait" in base64.b64decode(pause.inputs["__provider"])


def test_a_pause_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds come from the engine as numbers with a fraction."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    wait._Pause().create({"seconds": 120.0})
    assert slept == [120.0]
