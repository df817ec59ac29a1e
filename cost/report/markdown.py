"""The report as Markdown, for a repository or a wiki."""

from collections.abc import Sequence

from cost.report.content import Content
from cost.report.plain import line_rows
from cost.report.tables import CLOUDS, Table, tables


def as_markdown(content: Content) -> str:
    """Tables, then the bill of every stack at its typical volume."""
    scope = f"Scenario: {content.scenario.name}. Prices as dated below; {content.today}. USD, no tax."
    parts = [f"# What Pointsman costs\n\n{scope}", *(_section(table) for table in tables(content))]
    for (cloud, profile), bill in content.typical.items():
        header, rows = line_rows(bill)
        title = f"{CLOUDS[cloud]} {profile}, {bill.tickets_per_month:,} tickets: {bill.monthly_usd:,.2f} USD a month"
        parts.append(_section(Table(title, header, rows)))
    return "\n\n".join(parts) + "\n"


def table_of(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """One Markdown table."""
    lines = [_row(header), _row(["---"] * len(header)), *(_row(row) for row in rows)]
    return "\n".join(lines)


def _section(table: Table) -> str:
    note = f"\n\n{table.note}" if table.note else ""
    body = table_of(table.header, table.rows) if table.rows else "Nothing."
    return f"## {table.title}\n\n{body}{note}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
