"""The report as one HTML file: charts as inline SVG, no script, no font, no request to anywhere."""

import html
from collections.abc import Sequence
from pathlib import Path

from cost.report import charts
from cost.report.content import Content, Key
from cost.report.plain import line_rows
from cost.report.tables import CLOUDS, Table, tables

CSS = Path(__file__).with_name("page.css")
HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>What Pointsman costs</title><style>"""


def as_html(content: Content) -> str:
    """The whole report; readable without anything else, on paper too."""
    with charts.styled():
        figures = [charts.as_svg(figure) for figure in _figures(content)]
    shown = tables(content)
    body = [
        "<h1>What Pointsman costs</h1>",
        f"<p class=note>Scenario: {_text(content.scenario.name)}. Prices as dated below; page made {content.today}. "
        "US dollars, list prices, no tax. Shades show the low and the high end of the assumptions.</p>",
        _headline(content),
        *(f"<figure>{svg}</figure>" for svg in figures[:2]),
        *(_section(table) for table in shown[:2]),
        *(f"<figure>{svg}</figure>" for svg in figures[2:]),
        *(_section(table) for table in shown[2:6]),
        "<h2>The bills, line by line</h2>",
        *(_bill(content, key) for key in content.keys),
        *(_section(table) for table in shown[6:]),
    ]
    return "\n".join((HEAD, CSS.read_text(encoding="utf-8"), "</style></head>", "<body>", *body, "</body></html>", ""))


def _figures(content: Content) -> list:
    """Drivers and levers of the last profile shown: the larger one."""
    profile = content.keys[-1][1]
    keys = [key for key in content.keys if key[1] == profile]
    makers = (charts.per_ticket(content), charts.by_capability(content))
    return [*makers, charts.drivers(content, keys), charts.levers(content, keys)]


def _headline(content: Content) -> str:
    cards = [
        f"<div>{CLOUDS[cloud]} {profile}<b>{bill.usd_per_ticket:.3f} USD</b>"
        f"a ticket at {bill.tickets_per_month:,}; {bill.monthly_usd:,.0f} a month</div>"
        for (cloud, profile), bill in content.typical.items()
    ]
    return f"<div class=key>{''.join(cards)}</div>"


def _bill(content: Content, key: Key) -> str:
    bill = content.typical[key]
    header, rows = line_rows(bill)
    title = f"{CLOUDS[key[0]]} {key[1]}: {bill.monthly_usd:,.2f} USD a month at {bill.tickets_per_month:,} tickets"
    return f"<details><summary>{title}</summary>{_table(header, rows)}</details>"


def _section(table: Table) -> str:
    note = f"<p class=note>{_text(table.note)}</p>" if table.note else ""
    body = _table(table.header, table.rows) if table.rows else "<p>Nothing.</p>"
    return f"<h2>{_text(table.title)}</h2>{body}{note}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    numeric = [bool(rows) and _is_number(cell) for cell in (rows[0] if rows else header)]
    head = "".join(f"<th{' class=n' * is_n}>{_text(cell)}</th>" for cell, is_n in zip(header, numeric, strict=True))
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(cell: str) -> str:
    if cell.startswith("https://"):
        return f'<td class=l><a href="{_text(cell)}">{_text(cell.removeprefix("https://"))}</a></td>'
    kind = " class=n" if _is_number(cell) else " class=m" if cell.startswith(("stale", "secondary", "no price")) else ""
    return f"<td{kind}>{_text(cell)}</td>"


def _is_number(cell: str) -> bool:
    return bool(cell) and cell[0].isdigit() and not cell.count("-") and set(cell) <= set("0123456789.,() *")


def _text(value: str) -> str:
    return html.escape(value)
