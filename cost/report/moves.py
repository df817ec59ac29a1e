"""A move between clouds as rows, JSON and Markdown."""

from collections.abc import Iterable
from typing import Any

from cost.migrate import Migration
from cost.report.markdown import table_of
from cost.report.plain import number


def facts(move: Migration) -> Iterable[str]:
    """What a decision needs, one sentence each."""
    yield (
        f"{move.source} to {move.target}, {move.profile}, {move.tickets_per_month:,} tickets a month, {move.gb} GB: "
        f"{move.once_usd:,.2f} USD once and {move.days.normalize():f} working days, {move.labour_usd:,.0f} USD."
    )
    yield f"A month costs {move.source_monthly_usd:,.2f} USD now and {move.target_monthly_usd:,.2f} USD then."
    months = move.months_to_pay_back
    yield (
        "The new cloud is not cheaper: move for another reason, or not at all."
        if months is None
        else f"Charges and labour of the move are back after {months:.1f} months."
    )


def cost_rows(move: Migration) -> tuple[list[str], list[list[str]]]:
    header = ["what", "item", "quantity", "unit", "unit USD", "USD", "price of", "mark"]
    rows = [
        [
            line.capability,
            line.item,
            number(line.quantity),
            line.unit,
            number(line.unit_usd),
            f"{line.amount_usd:,.2f}",
            line.as_of.isoformat(),
            line.marks,
        ]
        for line in move.once
    ]
    return header, rows


def step_rows(move: Migration) -> tuple[list[str], list[list[str]]]:
    header = ["", "step", "days", "how", "risk", "way back"]
    rows = [[f"{s.order}", s.name, f"{s.days.normalize():f}", s.how, s.risk, s.undo] for s in move.steps]
    return header, rows


def as_markdown(move: Migration) -> str:
    parts = [*facts(move), table_of(*cost_rows(move)), table_of(*step_rows(move))]
    return "\n\n".join(parts)


def as_json(move: Migration) -> dict[str, Any]:
    """Decimals become numbers here."""
    months = move.months_to_pay_back
    return {
        "from": move.source,
        "to": move.target,
        "profile": move.profile,
        "gb": float(move.gb),
        "weeks": float(move.weeks),
        "tickets_per_month": move.tickets_per_month,
        "once_usd": float(move.once_usd),
        "working_days": float(move.days),
        "labour_usd": float(move.labour_usd),
        "source_monthly_usd": float(move.source_monthly_usd),
        "target_monthly_usd": float(move.target_monthly_usd),
        "months_to_pay_back": None if months is None else round(float(months), 2),
        "lines": [
            {
                "item": line.item,
                "quantity": float(line.quantity),
                "unit": line.unit,
                "unit_usd": float(line.unit_usd),
                "amount_usd": float(line.amount_usd),
                "as_of": line.as_of.isoformat(),
                "marks": line.marks,
            }
            for line in move.once
        ],
        "steps": [
            {
                "order": s.order,
                "name": s.name,
                "how": s.how,
                "risk": s.risk,
                "undo": s.undo,
                "working_days": float(s.days),
            }
            for s in move.steps
        ],
    }
