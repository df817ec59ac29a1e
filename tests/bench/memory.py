"""
Resident memory of each container, idle and under load.

Processes share pages (the interpreter, libraries): PSS counts each page once among all who have it, so it adds up;
private memory is what would come free if the process ended, and what a container of its own needs at the least.
"""

from collections.abc import Mapping
from pathlib import Path

from services.local.platform import CHILDREN
from tests.bench import end_to_end
from tests.bench.containers import Containers, Memory, run_containers
from tests.bench.load import closed_loop
from tests.bench.report import Row, Target

ROOM = "memory"
IDLE_GOAL_MIB = 1.6 * 1024  # five containers; the trainer is a job that is not there when idle
DATABASE = "postgres"


def measure(bundle: Path, *, tickets: int) -> list[Row]:
    """Idle after the start, then the most seen while `tickets` go through."""
    with run_containers(list(CHILDREN), bundle=bundle) as containers:
        idle = containers.memory()
        return _rows(idle, _under_load(containers, tickets))


def _under_load(containers: Containers, tickets: int) -> dict[str, Memory]:
    """Looked at with the queue full and after it was worked off: what grew stays, as allocators keep what they had."""
    messages = end_to_end.open_in_desk(containers, tickets)
    last_id = end_to_end.last_ticket(containers)
    closed_loop(containers.home.settings.gateway_port, messages, connections=end_to_end.CONNECTIONS)
    full = containers.memory()
    end_to_end.wait_decided(containers, tickets, last_id)
    after = containers.memory()
    return {name: max(full[name], after[name], key=lambda found: found.pss) for name in full}


def _rows(idle: Mapping[str, Memory], loaded: Mapping[str, Memory]) -> list[Row]:
    rows = []
    for name in idle:
        rows += [
            Row(ROOM, f"{name}: idle, private", idle[name].private, "MiB"),
            Row(ROOM, f"{name}: idle, with its share of common pages", idle[name].pss, "MiB"),
            Row(ROOM, f"{name}: under load, private", loaded[name].private, "MiB"),
        ]
    ours = [memory for name, memory in idle.items() if name != DATABASE]
    total = sum(memory.pss for memory in ours)
    everything = total + idle[DATABASE].pss
    return [
        Row(ROOM, f"{len(ours)} containers together, idle", total, "MiB", Target(at_most=IDLE_GOAL_MIB)),
        Row(ROOM, "and PostgreSQL", everything, "MiB"),
        *rows,
    ]
