"""The tables of the full report as rows of text: the page, Markdown and the spreadsheet show the same ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from cost.bill import BAND_USD
from cost.meter import HOURS_PER_MONTH
from cost.report.content import Content
from cost.report.plain import number, summary_rows

CLOUDS = {"aws": "AWS", "azure": "Azure", "gcp": "Google Cloud"}


@dataclass(frozen=True)
class Table:
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def tables(content: Content) -> list[Table]:
    """All tables but the bills themselves, in the order in which they are read."""
    return [
        summary(content),
        promise(content),
        levers(content),
        returns(content),
        published(content),
        gaps(content),
        assumptions(content),
        marks(content),
    ]


def summary(content: Content) -> Table:
    header, rows = summary_rows(content.bills, CLOUDS)
    note = "USD a month (USD per ticket). A star: more tickets than the profile is made for."
    return Table("Cost by volume", header, rows, note)


SIZED_FOR = {"small": range(20_001), "prod": range(24_000, 100_001)}  # tickets a month


def per_ticket(content: Content) -> Table:
    """USD per ticket of small and prod; empty where the profile is not sized for so many, or so few."""
    stacks = [(cloud, profile) for profile in SIZED_FOR for cloud in CLOUDS]
    usd = {(e.cloud, e.profile, e.tickets_per_month): e.usd_per_ticket for e in content.bills}
    volumes = sorted({v for _, profile, v in usd if v in SIZED_FOR.get(profile, ())})
    rows = [[f"{v:,}", *(f"{usd[c, p, v]:.3f}" if v in SIZED_FOR[p] else "" for c, p in stacks)] for v in volumes]
    return Table("USD per ticket", ["tickets a month", *(f"{CLOUDS[c]} {p}" for c, p in stacks)], rows)


def from_now(content: Content, cloud: str) -> Table:
    """What a stack costs from the moment it stands, before any ticket, and at the volume it is meant for."""
    header = ["profile", "a day without a ticket", "a month without a ticket", "a month with", "lines without a price"]
    rows = [
        [
            bill.profile,
            f"{bill.fixed_usd * 24 / HOURS_PER_MONTH:.2f}",
            f"{bill.fixed_usd:.2f}",
            f"{bill.monthly_usd:.2f} ({bill.tickets_per_month:,} tickets)",
            str(len(bill.gaps)),
        ]
        for (of, _), bill in content.typical.items()
        if of == cloud
    ]
    return Table("From the moment it stands", header, rows, "USD, list prices, expected end of every assumption.")


def promise(content: Content) -> Table:
    """From which volume on a price per ticket is met."""
    header = ["stack", *(f"{usd} USD a ticket, from" for usd in sorted(BAND_USD, reverse=True))]
    rows = [
        [f"{CLOUDS[cloud]} {profile}", *(_from(curve.met_from[usd]) for usd in sorted(BAND_USD, reverse=True))]
        for (cloud, profile), curve in content.curves.items()
    ]
    return Table("Where the goal is met", header, rows, "Tickets a month, expected end of every assumption.")


def levers(content: Content) -> Table:
    header = ["stack", "lever", "USD a month saved", "USD per ticket then", "what one gives up"]
    rows = [
        [f"{CLOUDS[c]} {p}", s.name, f"{s.usd_per_month:,.2f}", f"{s.usd_per_ticket_after:.4f}", s.gives_up]
        for (c, p), found in content.savings.items()
        for s in found[:6]
    ]
    return Table("Levers, the largest saving first", header, rows, "Each by itself; savings of two do not add up.")


def returns(content: Content) -> Table:
    header = [
        "stack",
        "tickets a month",
        "hours saved",
        "USD saved",
        "cloud USD",
        "labour USD",
        "USD left",
        "USD per resolution",
    ]
    rows = [
        [
            f"{CLOUDS[c]} {p}",
            f"{r.tickets:,}",
            f"{r.hours_saved:,.0f}",
            f"{r.saved_usd:,.0f}",
            f"{r.cloud_usd:,.0f}",
            f"{r.labour_usd:,.0f}",
            f"{r.net_usd:,.0f}",
            "-" if r.usd_per_resolution is None else f"{r.usd_per_resolution:.2f}",
        ]
        for (c, p), r in content.returns.items()
    ]
    roi = content.scenario.roi
    note = (
        f"Assumed: {roi.automation_share:.0%} decided without a person, {roi.minutes_saved_per_ticket} minutes saved "
        f"each, {roi.correction_share:.0%} of them put right in {roi.correction_minutes} minutes; "
        f"{roi.deflection_share:.0%} of chats end without a ticket and save {roi.resolution_minutes} minutes; an agent "
        f"costs {roi.agent_usd_per_hour} USD an hour; running takes {roi.run_hours_per_month} hours a month "
        f"at {roi.engineer_usd_per_hour} USD. Put your KPIs into a scenario file. A resolution is such a chat, "
        "and the whole platform is charged to it."
    )
    return Table("Return", header, rows, note)


def published(content: Content) -> Table:
    header = ["what others publish", "USD", "per", "scope", "as of", "source"]
    rows = [
        [
            item.name,
            f"{item.low_usd}" if item.low_usd == item.high_usd else f"{item.low_usd} to {item.high_usd}",
            item.per,
            item.scope,
            f"{item.as_of or 'undated'}",
            item.source,
        ]
        for item in content.published
    ]
    return Table("Beside the published figures", header, rows, "Different scopes: read the column before comparing.")


def gaps(content: Content) -> Table:
    """What is billed, but by a price nobody gave us a source for."""
    rows = [
        [f"{CLOUDS[cloud]} {profile}", *gap.split(": ", 1)]
        for (cloud, profile), bill in content.typical.items()
        for gap in bill.gaps
    ]
    note = "Billed by the vendor, counted here as 0. Put your price into a scenario file under `prices`."
    return Table("Not in the totals", ["stack", "item", "why"], rows, note)


def assumptions(content: Content) -> Table:
    """As of the first stack; where a cloud or profile differs, its own number is beside it."""
    header = ["assumption", "unit", "low", "expected", "high", "measured by", "why"]
    rows, seen = [], set()
    for (cloud, profile), found in content.assumptions.items():
        for item, _ in found:
            ends = tuple(f"{value.normalize():f}" for value in item.ends.values())
            if (item.name, ends) in seen:
                continue
            where = f" ({cloud} {profile})" if any(name == item.name for name, _ in seen) else ""
            seen.add((item.name, ends))
            rows.append([item.name + where, item.unit, *ends, item.measured, item.why])
    return Table("Assumptions", header, rows, "Low is the cheap end, high the dear one.")


def marks(content: Content) -> Table:
    """Every price that is used, oldest first."""
    used = {(bill.cloud, line.price): line for bill in content.typical.values() for line in bill.lines}
    rows = [
        [CLOUDS[cloud], key, number(line.unit_usd), line.unit, f"{line.as_of}", line.marks, line.url or line.source]
        for (cloud, key), line in sorted(used.items(), key=lambda pair: (pair[1].as_of, pair[0]))
    ]
    note = (
        "stale: older than 365 days. secondary: not read from the vendor's own interface. A region: its price is taken."
    )
    return Table("Prices used", ["cloud", "row", "USD", "unit", "as of", "mark", "source"], rows, note)


def _from(tickets: int | None) -> str:
    return "not below 10 million" if tickets is None else f"{tickets:,}"
