"""kill -9 after training: register, gates, canary and promotion, done again, leave what an undisturbed run leaves."""

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import pytest

from services.core.kit.objects import open_store
from services.core.models import registry
from services.trainer.canary import run_round
from services.trainer.config import FitConfig
from services.trainer.gates import GATES
from services.trainer.rules import GateRules, read_rules
from services.trainer.sequential import CanaryRules
from services.trainer.service import Registry, train
from tests.services.trainer.bundles import made_up_tickets, other_bundle, small_bundle, tiny_encoder
from tests.services.trainer.test_canary import label, live
from tests.services.trainer.test_resume import FORKS

ROOMS = ("trainer/service.py", "trainer/canary.py", "models/registry.py", "kit/audit.py", "trainer/cards.py")


def calls_of(work: Callable[[], Any], *, killed_at: int | None = None) -> int:
    """How many functions of ROOMS are called in `work`; kill -9 at the one of that number."""
    seen = 0

    def look(frame: FrameType, event: str, _: object) -> None:
        nonlocal seen
        if event != "call" or not frame.f_code.co_filename.endswith(ROOMS):
            return
        seen += 1
        if seen == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen


def is_killed(work: Callable[..., None], *arguments: Any) -> bool:
    """Runs `work` in a process of its own."""
    process = FORKS.Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def rules(*, strict: bool) -> GateRules:
    """All gates but one are off; the one that is left is out of reach or not."""
    shipped = read_rules(None).model_dump()
    off = {name: {**values, "enabled": False} for name, values in shipped.items()}
    return GateRules.model_validate(off | {"latency": {"enabled": True, "p50_ms_max": 1e-9 if strict else 1e9}})


def bring_in(database: str, folder: Path, base_model: str, seed: int, killed_at: int | None) -> int:
    """One training of few tickets up to its promotion, or its refusal where `seed` is odd."""
    config = FitConfig(base_model=base_model, encoder="frozen", heads=False, max_tokens=16)

    def work(until: str | None = None) -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            place = Registry(conn, open_store(f"file://{folder}/objects"), folder / "work")
            asked = rules(strict=bool(seed % 2))
            rows = made_up_tickets(60, seed=seed)
            train(lambda: rows, str(seed), place, config, asked, promote=True, progress=silent, until=until)

    if not (folder / "work" / "run").exists():
        work(until="export")
    return calls_of(work, killed_at=killed_at)


def bring_in_and_say(*arguments: Any) -> None:
    bring_in(*arguments)


def silent(stage: str, fraction: float, detail: str) -> None:
    """Nobody listens."""


@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_what_comes_after_training_is_done_once(database: str, tmp_path: Path, kills: int):
    """Killed anywhere, then started again: one version, judged against the champion of then, told once."""
    chance, base_model = random.Random(5), str(tiny_encoder())
    with psycopg.connect(database, autocommit=True) as conn:
        store = open_store(f"file://{tmp_path}/objects")
        registry.promote(conn, registry.register(conn, store, other_bundle()))
        calls = min(bring_in(database, tmp_path, base_model, seed, None) for seed in (98, 99))
        for seed in range(100, 100 + kills):
            before = registry.champion(conn)
            versions = len(registry.versions(conn))
            assert before is not None
            assert is_killed(bring_in_and_say, database, tmp_path, base_model, seed, chance.randrange(1, calls - 20))
            bring_in(database, tmp_path, base_model, seed, None)
            newest = registry.versions(conn)[0]
            assert len(registry.versions(conn)) == versions + 1
            assert (newest.status == "champion") == (seed % 2 == 0)
            assert [gate.name for gate in newest.gates] == list(GATES)
            ((compared,),) = conn.execute(
                "select evidence ->> 'compared_with' from models where version = %s", (newest.version,)
            ).fetchall()
            assert compared == before.version
            told = conn.execute(
                "select action from audit_log where subject = %s", (f"model/{newest.version}",)
            ).fetchall()
            assert told == [("model.rejected" if seed % 2 else "model.promoted",)]
            registry.check_stored(store, newest)
            assert not (tmp_path / "work" / "run").exists()


def compare(database: str, folder: Path, killed_at: int | None) -> None:
    def work() -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            run_round(conn, open_store(f"file://{folder}/objects"), folder / "cache", CanaryRules(labels_max=400))

    calls_of(work, killed_at=killed_at)


@pytest.mark.parametrize("killed_at", [4, 12])
@pytest.mark.parametrize("is_better", [True, False])
def test_a_canary_ends_once(database: str, tmp_path: Path, killed_at: int, is_better: bool):
    """Killed in the round that concludes: the next one promotes or drops, and says so once."""
    with psycopg.connect(database, autocommit=True) as conn:
        store = open_store(f"file://{tmp_path}/objects")
        first, second = (registry.register(conn, store, folder) for folder in (small_bundle(), other_bundle()))
        registry.promote(conn, first)
        assert registry.begin_canary(conn, second)
        live(conn)
        compare(database, tmp_path, None)
        label(conn, as_champion=not is_better)
        assert is_killed(compare, database, tmp_path, killed_at)
        compare(database, tmp_path, None)
        champion = registry.champion(conn)
        assert champion is not None
        assert champion.version == (second if is_better else first)
        assert registry.canaries(conn) == []
        told = conn.execute("select action from audit_log where subject = %s", (f"model/{second}",)).fetchall()
        assert told == [("model.promoted" if is_better else "model.rejected",)]
