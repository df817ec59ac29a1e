"""
How large a platform must be for so many tickets a month, by arithmetic from what a ticket was measured to cost.

Nobody has run more than 65 tickets a second (`make bench ARGS=end-to-end`); what is above is multiplication.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from cost.usage import Assumptions, demand
from services.core.kit.errors import InputInvalid

VOLUMES = (1_000, 24_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)

# Processor ms for a new ticket, by part: tests/bench/landed.json, end to end, two quiet cores.
NEW_TICKET_MS: Mapping[str, Decimal] = {
    "gateway": Decimal("0.7"),
    "router": Decimal("7.6"),
    "worker": Decimal("14.1"),
    "postgres": Decimal("4.5"),
}
LIFE = Decimal("2.5")  # being assigned and being solved run a workflow each, and comments come
PEAK = Decimal(4)  # the busiest minute against the mean of the hours in which tickets come

# The least of three clouds: Azure's flexible server (learn.microsoft.com/azure/postgresql/flexible-server, 2026-11).
DATABASE_VCPUS_MAX = 96
DATABASE_TB_MAX = Decimal("35.1")  # 32 TiB
# The audit chain links 500 entries in 50 ms, one process at a time; a ticket's life leaves ten.
AUDIT_ENTRIES_A_SECOND = Decimal(10_000)
AUDIT_ENTRIES_A_TICKET = Decimal(10)
MS, S_AN_HOUR = Decimal(1_000), Decimal(3_600)


@dataclass(frozen=True)
class Size:
    """
    What `tickets` a month need at their peak. vCPUs are what pools hold when they are filled to `utilisation`.

    `ends`: why one database does not hold it; empty where it does.
    """

    tickets: int
    peak_per_s: Decimal
    vcpus: Mapping[str, Decimal]
    database_tb: Decimal
    ends: tuple[str, ...]

    @property
    def platforms(self) -> int:
        """Platforms of their own, each with its database, that share the tickets by system, brand or region."""
        needs = (
            self.database_tb / DATABASE_TB_MAX,
            self.vcpus["postgres"] / DATABASE_VCPUS_MAX,
            self.peak_per_s * AUDIT_ENTRIES_A_TICKET / AUDIT_ENTRIES_A_SECOND,
        )
        return max(1, *(int(need.to_integral_value(rounding="ROUND_CEILING")) for need in needs))


def size(assumed: Assumptions, tickets: int) -> Size:
    """
    Raises:
        InputInvalid: fewer than one ticket.
    """
    if tickets < 1:
        raise InputInvalid(f"{tickets} tickets a month need no platform. Give 1 or more.")
    peak = tickets * PEAK / (assumed["arrival_hours"] * S_AN_HOUR)
    vcpus = {part: peak * ms * LIFE / MS / assumed["utilisation"] for part, ms in NEW_TICKET_MS.items()}
    stored = demand(assumed, tickets).database_gb / 1_000
    return Size(tickets, peak, vcpus, stored, tuple(_ends(peak, vcpus["postgres"], stored)))


def sizes(assumed: Assumptions, volumes: Sequence[int] = VOLUMES) -> list[Size]:
    return [size(assumed, tickets) for tickets in volumes]


def _ends(peak: Decimal, vcpus: Decimal, stored: Decimal) -> list[str]:
    """In words, the first that is met first."""
    limits = {
        f"{DATABASE_TB_MAX:.0f} TB of disk": stored / DATABASE_TB_MAX,
        f"{DATABASE_VCPUS_MAX} vCPU": vcpus / DATABASE_VCPUS_MAX,
        "the audit chain": peak * AUDIT_ENTRIES_A_TICKET / AUDIT_ENTRIES_A_SECOND,
    }
    over = {words: share for words, share in limits.items() if share > 1}
    return sorted(over, key=lambda words: -over[words])
