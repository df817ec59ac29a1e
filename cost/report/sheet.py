"""The report as a workbook whose sums are formulas: change a quantity or a price and the bill follows."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cost.estimate import Estimate
from cost.report.content import Content
from cost.report.tables import CLOUDS, Table, tables

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

BILL = (
    "capability",
    "item",
    "fixed or per use",
    "quantity",
    "unit",
    "unit USD",
    "USD a month",
    "price of",
    "mark",
    "source",
)
USD, UNIT_USD, QUANTITY = '#,##0.00" USD"', "#,##0.000000", "#,##0.0000"
FIRST_LINE = 6
WIDTHS = (16, 46, 14, 14, 18, 14, 16, 12, 20, 60)
TEXT_WIDTH_MAX = 60


def write_xlsx(content: Content, path: Path) -> None:
    """
    A summary that refers to a sheet per bill, then the tables of the report.

    Each bill: amount = quantity x unit price per line, total = sum, per ticket = total / tickets.
    """
    from openpyxl import Workbook

    book = Workbook()
    front: Any = book.active
    front.title = "Summary"
    names = [_bill(book, bill) for bill in content.bills]
    _summary(front, content, names)
    for table in tables(content)[1:]:
        _table(book, table)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def _summary(sheet: "Worksheet", content: Content, names: Sequence[str]) -> None:
    _title(
        sheet, "What Pointsman costs", f"Scenario: {content.scenario.name}. {content.today}. USD, list prices, no tax."
    )
    _header(sheet, 4, ("cloud", "profile", "tickets a month", "USD a month", "of it fixed", "USD per ticket", "note"))
    for row, (bill, name) in enumerate(zip(content.bills, names, strict=True), 5):
        cells = (
            CLOUDS[bill.cloud],
            bill.profile,
            f"='{name}'!B3",
            f"='{name}'!G3",
            f"='{name}'!G4",
            f'=IF(C{row}=0,"",D{row}/C{row})',
            "; ".join(bill.notes),
        )
        for column, value in enumerate(cells, 1):
            sheet.cell(row, column, value)
        for column, pattern in ((3, "#,##0"), (4, USD), (5, USD), (6, UNIT_USD)):
            sheet.cell(row, column).number_format = pattern
    _widths(sheet, (16, 10, 16, 18, 18, 16, 60))
    sheet.freeze_panes = "A5"


def _bill(book: "Workbook", bill: Estimate) -> str:
    name = f"{bill.cloud} {bill.profile} {bill.tickets_per_month}"
    sheet = book.create_sheet(name)
    last = FIRST_LINE + len(bill.lines)
    _title(
        sheet, f"{CLOUDS[bill.cloud]} {bill.profile}", "amount = quantity x unit USD; change either and the sums follow"
    )
    sheet["A3"], sheet["B3"] = "tickets a month", bill.tickets_per_month
    sheet["F3"], sheet["G3"] = "USD a month", f"=SUM(G{FIRST_LINE + 1}:G{last})"
    sheet["F4"], sheet["G4"] = "of it fixed", f'=SUMIF(C{FIRST_LINE + 1}:C{last},"fixed",G{FIRST_LINE + 1}:G{last})'
    sheet["A4"], sheet["B4"] = "USD per ticket", '=IF(B3=0,"",G3/B3)'
    _header(sheet, FIRST_LINE, BILL)
    for row, line in enumerate(bill.lines, FIRST_LINE + 1):
        kind = "fixed" if line.fixed else "per use"
        amount = f"=ROUND(D{row}*F{row},6)"
        cells = (line.capability, line.item, kind, line.quantity, line.unit, line.unit_usd, amount)
        for column, value in enumerate((*cells, line.as_of, line.marks, line.url or line.source), 1):
            sheet.cell(row, column, value)
        for column, pattern in ((4, QUANTITY), (6, UNIT_USD), (7, USD)):
            sheet.cell(row, column).number_format = pattern
    for cell, pattern in (("B3", "#,##0"), ("B4", UNIT_USD), ("G3", USD), ("G4", USD)):
        sheet[cell].number_format = pattern
    _widths(sheet, WIDTHS)
    sheet.freeze_panes = f"A{FIRST_LINE + 1}"
    return name


def _table(book: "Workbook", table: Table) -> None:
    sheet = book.create_sheet(table.title[:31])
    _title(sheet, table.title, table.note)
    _header(sheet, 4, table.header)
    for row, cells in enumerate(table.rows, 5):
        for column, value in enumerate(cells, 1):
            sheet.cell(row, column, _number(value))
    longest = [max(map(len, column)) + 2 for column in zip(table.header, *table.rows, strict=True)]
    _widths(sheet, [min(width, TEXT_WIDTH_MAX) for width in longest])
    sheet.freeze_panes = "A5"


def _title(sheet: "Worksheet", title: str, note: str) -> None:
    from openpyxl.styles import Font

    sheet["A1"], sheet["A2"] = title, note
    sheet["A1"].font, sheet["A2"].font = Font(bold=True, size=14), Font(color="666666")


def _header(sheet: "Worksheet", row: int, names: Sequence[str]) -> None:
    from openpyxl.styles import Border, Font, Side

    for column, name in enumerate(names, 1):
        cell = sheet.cell(row, column, name)
        cell.font, cell.border = Font(bold=True), Border(bottom=Side(style="thin"))


def _widths(sheet: "Worksheet", widths: Sequence[int]) -> None:
    from openpyxl.utils import get_column_letter

    for column, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(column)].width = width


def _number(text: str) -> str | Decimal:
    """A cell that holds a plain number becomes one, so that it can be summed."""
    plain = text.replace(",", "")
    return Decimal(plain) if plain.replace(".", "", 1).isdigit() else text
