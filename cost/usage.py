"""The usage model: named assumptions with low, expected and high, and what they make of a number of tickets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from cost.book import ONE, ZERO, read_yaml
from cost.meter import HOURS_PER_MONTH
from services.core.kit.errors import ConfigurationInvalid, InputInvalid

USAGE = Path(__file__).with_name("usage.yaml")
KB_PER_GB = Decimal(1_000_000)
SECONDS_PER_HOUR = Decimal(3600)
TRAINING_TICKETS_MAX = Decimal(100_000)  # services.trainer takes the newest; more teaches a router nothing
DIVISORS = ("arrival_hours", "utilisation")
MOST = Decimal(10**15)  # of anything: beyond it sums of money are no longer exact
MINUTES_PER_MONTH = HOURS_PER_MONTH * 60


class Level(StrEnum):
    LOW = "low"
    EXPECTED = "expected"
    HIGH = "high"


@dataclass(frozen=True)
class Assumption:
    """One named input; `ends` by level."""

    name: str
    unit: str
    why: str
    measured: str
    ends: Mapping[Level, Decimal]


@dataclass(frozen=True)
class Assumptions:
    """The inputs of one cloud and profile, each at its level; `overrides` are numbers of a scenario."""

    inputs: Mapping[str, Assumption]
    levels: Mapping[str, Level]
    overrides: Mapping[str, Decimal]

    def __getitem__(self, name: str) -> Decimal:
        if name in self.overrides:
            return self.overrides[name]
        return self.inputs[name].ends[self.levels.get(name, Level.EXPECTED)]

    def at(self, name: str, level: Level) -> "Assumptions":
        """The same, with one input moved to an end. An override stays."""
        return replace(self, levels={**self.levels, name: level})

    def all_at(self, level: Level) -> "Assumptions":
        return replace(self, levels=dict.fromkeys(self.inputs, level))


def load_assumptions(
    cloud: str, profile: str, *, overrides: Mapping[str, Decimal] | None = None, path: Path = USAGE
) -> Assumptions:
    """
    What is assumed for a cloud and a profile.

    Raises:
        ConfigurationInvalid: a row is wrong; an override names no assumption.
    """
    rows, chosen = _rows(path), overrides or {}
    if unknown := sorted(set(chosen) - {name.partition("@")[0] for name in rows}):
        raise ConfigurationInvalid(f"No assumption is called {unknown[0]!r}. Known: {', '.join(sorted(rows))}")
    names = [name for name in rows if "@" not in name]
    inputs = {name: _assumption(name, rows.get(f"{name}@{cloud}", rows[name]), profile) for name in names}
    for name, value in chosen.items():
        _refuse_odd(inputs[name], value)
    return Assumptions(inputs=inputs, levels={}, overrides=dict(chosen))


def _refuse_odd(known: Assumption, value: Decimal) -> None:
    most = 1 if known.unit.startswith("share") else HOURS_PER_MONTH if known.unit.startswith("hours") else MOST
    least_is_in = known.name not in DIVISORS
    if not value.is_finite() or not 0 <= value <= most or (value == 0 and not least_is_in):
        least = "0" if least_is_in else "more than 0"
        raise ConfigurationInvalid(f"Assumption {known.name!r} is {value} {known.unit}: give {least} to {most:,}.")


@cache
def _rows(path: Path) -> Mapping[str, Any]:
    return read_yaml(path)["assumptions"]


def _assumption(name: str, row: Mapping[str, Any], profile: str) -> Assumption:
    ends = row
    if "profiles" in row:
        ends = row["profiles"].get(profile)
        if ends is None:
            raise ConfigurationInvalid(
                f"Assumption {name!r} says nothing of profile {profile!r}. Add it to usage.yaml."
            )
    try:
        values = {level: Decimal(str(ends[level.value])) for level in Level}
    except (KeyError, InvalidOperation) as exc:
        raise ConfigurationInvalid(f"Assumption {name!r} needs numbers for low, expected and high.") from exc
    return Assumption(name, row["unit"], row["why"], row.get("measured", ""), values)


@dataclass(frozen=True)
class Demand:
    """What a month asks of a stack; GB are 10^9 bytes. `idle_*` is asked even when no ticket comes."""

    tickets: Decimal
    triage_input_tokens: Decimal
    triage_output_tokens: Decimal
    chat_input_tokens: Decimal
    chat_output_tokens: Decimal
    worker_cpu_h: Decimal
    worker_awake_h: Decimal
    idle_training_h: Decimal
    training_h: Decimal
    database_gb: Decimal
    database_io: Decimal
    database_acu_h: Decimal
    lake_gb: Decimal
    documents_gb: Decimal
    models_gb: Decimal
    images_gb: Decimal
    log_gb: Decimal
    idle_log_gb: Decimal
    egress_gb: Decimal
    idle_egress_gb: Decimal
    nat_gb: Decimal
    idle_nat_gb: Decimal
    requests: Decimal
    events: Decimal
    event_gb: Decimal
    object_writes: Decimal
    object_reads: Decimal
    key_calls: Decimal
    idle_secret_reads: Decimal
    idle_samples: Decimal


def demand(a: Assumptions, tickets: int) -> Demand:
    """
    What `tickets` a month ask for.

    Raises:
        InputInvalid: a negative number of tickets.
    """
    if tickets < 0:
        raise InputInvalid(f"{tickets} tickets a month cannot be. Give 0 or more.")
    n = Decimal(tickets)
    return Demand(
        tickets=n,
        **_tokens(a, n),
        **_machines(a, n),
        **_bytes(a, n),
        requests=n * a["requests_per_ticket"],
        events=n * a["events_per_ticket"],
        object_writes=n * a["object_writes_per_ticket"],
        object_reads=n * a["object_reads_per_ticket"],
        key_calls=n * a["key_calls_per_ticket"],
        idle_secret_reads=a["secret_reads"],
        idle_samples=a["metric_series"] * MINUTES_PER_MONTH,
    )


def awake_share(arrivals: Decimal, cooldown_s: Decimal, hours: Decimal) -> Decimal:
    """
    Share of `hours` in which a machine that sleeps `cooldown_s` after the last arrival is on.

    Source: busy fraction of an infinite-server queue with constant service time, 1 - exp(-rate x time).
    """
    if not arrivals:
        return ZERO
    return ONE - (-(arrivals / hours / SECONDS_PER_HOUR) * cooldown_s).exp()


def _tokens(a: Assumptions, n: Decimal) -> dict[str, Decimal]:
    tries = ONE + a["repair_share"]
    turns = n * a["chats_per_ticket"] * a["turns_per_chat"] * tries
    calls = n * tries
    thinking = a["reasoning_tokens"]
    return {
        "triage_input_tokens": calls * (a["priority_input_tokens"] + a["summary_input_tokens"]),
        "triage_output_tokens": calls * (a["priority_output_tokens"] + a["summary_output_tokens"] + 2 * thinking),
        "chat_input_tokens": turns * a["chat_input_tokens"],
        "chat_output_tokens": turns * (a["chat_output_tokens"] + thinking),
    }


def _machines(a: Assumptions, n: Decimal) -> dict[str, Decimal]:
    cpu_h = n * a["cpu_ms_per_ticket"] / 1000 / SECONDS_PER_HOUR
    hours = min(a["arrival_hours"], HOURS_PER_MONTH)
    learned = min(n * a["training_months"], TRAINING_TICKETS_MAX)
    return {
        "worker_cpu_h": cpu_h * a["worker_share"] / a["utilisation"],
        "worker_awake_h": hours * awake_share(n, a["worker_cooldown_s"], hours),
        "idle_training_h": a["trainings"] * a["training_start_min"] / 60,
        "training_h": a["trainings"] * learned / 1000 * a["training_s_per_1000"] / SECONDS_PER_HOUR,
        "database_acu_h": n * a["database_acu_s_per_ticket"] / SECONDS_PER_HOUR,
        "database_io": n * a["database_io_per_ticket"],
    }


def _bytes(a: Assumptions, n: Decimal) -> dict[str, Decimal]:
    kept = n * a["retained_months"] / KB_PER_GB
    return {
        "database_gb": kept * a["database_kb_per_ticket"],
        "lake_gb": kept * a["lake_kb_per_ticket"],
        "documents_gb": a["documents_gb"],
        "models_gb": a["models_gb"],
        "images_gb": a["images_gb"],
        "log_gb": n * a["log_kb_per_ticket"] / KB_PER_GB,
        "idle_log_gb": a["idle_log_gb"],
        "egress_gb": n * a["egress_kb_per_ticket"] / KB_PER_GB,
        "idle_egress_gb": a["idle_egress_gb"],
        "nat_gb": n * a["nat_kb_per_ticket"] / KB_PER_GB,
        "idle_nat_gb": a["idle_nat_gb"],
        # Pub/Sub counts a small message as 1 KB; ours are never smaller here.
        "event_gb": n * a["events_per_ticket"] * max(a["event_kb"], ONE) / KB_PER_GB,
    }
