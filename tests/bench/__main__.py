"""
`make bench`: speed and memory of the platform beside this machine's own ceiling.

    python -m tests.bench [ingest|end-to-end|router|memory|redact|audit|scale|conversations|conversations-large|drift|
                           surge|explain|all] [--quick] [--tickets N] [--format table|json] [--keep]

Read the ratios: both sides of each were measured in turn in the same run. Absolutes are this machine's, and those of
whatever else it was doing; its load is printed with them. Behind a figure stands that of the last landing (`was`):
--keep puts this one in its place, in tests/bench/landed.json.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace

from tests.bench import landed
from tests.bench.report import Row, as_json, as_table, describe_machine


@dataclass(frozen=True)
class Size:
    """How much is measured. `seconds`: of one measurement, where not the count is fixed. `seeded`: tickets."""

    rounds: int
    requests: int
    tickets: int
    seconds: float
    seeded: int
    is_quick: bool = False


FULL = Size(rounds=5, requests=4_000, tickets=1_500, seconds=8, seeded=1_000_000)
QUICK = Size(rounds=2, requests=1_000, tickets=250, seconds=2, seeded=20_000, is_quick=True)


def main() -> None:
    arguments = _parse_arguments()
    load_before = os.getloadavg()[0]
    size = QUICK if arguments.quick else FULL
    size = replace(size, seeded=arguments.tickets or size.seeded)
    rooms = list(ROOMS) if arguments.room == "all" else [arguments.room]
    rows: list[Row] = []
    with redirect_stdout(sys.stderr):  # what libraries print is no part of the answer
        for room in rooms:
            print(f"measuring: {room}")
            rows += ROOMS[room](size)
    machine = describe_machine(load_before)
    before = landed.figures(landed.read())
    sys.stdout.write((as_json if arguments.format == "json" else as_table)(machine, rows, before) + "\n")
    if arguments.keep:
        landed.keep(machine, rows)


def measure_ingest(size: Size) -> list[Row]:
    from tests.bench import ingest

    return ingest.measure(rounds=size.rounds, requests=size.requests)


def measure_end_to_end(size: Size) -> list[Row]:
    from tests.bench import bundles, end_to_end

    bundle = bundles.quick_bundle() if size.is_quick else bundles.full_bundle()
    return end_to_end.measure(bundle, tickets=size.tickets, steady_s=3 * size.seconds)


def measure_router(size: Size) -> list[Row]:
    from tests.bench import bundles, router_rows

    bundle = bundles.quick_bundle() if size.is_quick else bundles.full_bundle()
    return router_rows.measure(bundle, seconds=size.seconds / 2)


def measure_memory(size: Size) -> list[Row]:
    from tests.bench import bundles, memory

    bundle = bundles.quick_bundle() if size.is_quick else bundles.full_bundle()
    return memory.measure(bundle, tickets=size.tickets // 2)


def measure_audit(size: Size) -> list[Row]:
    from tests.bench import audit

    return audit.measure(seconds=size.seconds / 2, rounds=size.rounds)


def measure_scale(size: Size) -> list[Row]:
    from tests.bench import scale

    return scale.measure(tickets=size.seeded)


def measure_conversations(size: Size) -> list[Row]:
    from tests.bench import conversations

    return conversations.measure(chunks=2_000 if size.is_quick else 20_000, seconds=3 * size.seconds)


def measure_large_conversations(size: Size) -> list[Row]:
    from tests.bench import conversations

    return conversations.measure(chunks=5_000 if size.is_quick else 200_000, seconds=3 * size.seconds)


def measure_redaction(size: Size) -> list[Row]:
    from tests.bench import redaction

    return redaction.measure(fillings=1 if size.is_quick else 6, rounds=size.rounds)


def measure_drift(size: Size) -> list[Row]:
    from tests.bench import drift

    return drift.measure(is_quick=size.is_quick)


def measure_surges(size: Size) -> list[Row]:
    from tests.bench import surge

    return surge.measure(is_quick=size.is_quick)


def measure_explained(size: Size) -> list[Row]:
    from tests.bench import bundles, explain

    return explain.measure(bundles.quick_bundle(), reviews=20 if size.is_quick else 100)


ROOMS: Mapping[str, Callable[[Size], list[Row]]] = {
    "ingest": measure_ingest,
    "end-to-end": measure_end_to_end,
    "router": measure_router,
    "memory": measure_memory,
    "redact": measure_redaction,
    "audit": measure_audit,
    "scale": measure_scale,
    "conversations": measure_conversations,
    "conversations-large": measure_large_conversations,
    "drift": measure_drift,
    "surge": measure_surges,
    "explain": measure_explained,
}


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("room", nargs="?", default="all", choices=[*ROOMS, "all"], help="what to measure (all)")
    parser.add_argument("--quick", action="store_true", help="under two minutes; rougher figures")
    parser.add_argument("--tickets", type=int, help="scale: so many tickets (1,000,000; quick 20,000)")
    parser.add_argument("--format", choices=["table", "json"], default="table")
    parser.add_argument("--keep", action="store_true", help="these are the figures of a landing: keep them")
    arguments = parser.parse_args()
    if arguments.keep and (arguments.quick or arguments.tickets):
        parser.error("--keep keeps the full measurement: leave --quick and --tickets away")
    return arguments


if __name__ == "__main__":
    main()
