"""The mapping document: a workbook that a retailer fills in to say what its files hold.

Owns the sheets, their columns and the words that may be chosen; `mapping_document_reading` makes
feeds of a filled one. Never reads a workbook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import xlsxwriter

from tilldrop.mapping import REQUIRED, targets
from tilldrop.mapping_words import FILES, MEANINGS
from tilldrop.rows import CHILDREN

if TYPE_CHECKING:
    from pathlib import Path

    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

FILES_SHEET: Final = "Files"
VALUES_SHEET: Final = "Values"
START_SHEET: Final = "Start here"

# Columns of the sheet "Files" -> key in [feeds.read] or in the feed; "" is for people only.
FILE_COLUMNS: Final = {
    "File": "",
    "What it is": "",
    "File name": "files",
    "One row is one": "rows",
    "Separator": "read.delimiter",
    "Encoding": "read.encoding",
    "Header in line": "read.header_line",
    "Decimal sign": "read.decimal",
    "Thousands sign": "read.thousands",
    "Remarks": "",
}
# Columns of a table's sheet.
FIELD: Final = "Our field"
COLUMN: Final = "Your column"
FIXED: Final = "Or always this value"
CALCULATION: Final = "Or a calculation"
FORMAT: Final = "Date format"
REMARKS: Final = "Remarks"
TABLE_COLUMNS: Final = (FIELD, "Meaning", "Needed", COLUMN, FIXED, CALCULATION, FORMAT, REMARKS)
VALUE_COLUMNS: Final = (FIELD, "Your value", "Our value")

# What people choose -> what the mapping says.
CHOICES: Final[dict[str, dict[str, object]]] = {
    "rows": {
        "transaction": "per-transaction",
        "line item": "per-line",
        "payment": "per-payment",
    },
    "read.delimiter": {
        "comma": ",",
        "semicolon": ";",
        "tab": "tab",
        "pipe": "|",
        "blanks": "blanks",
    },
    "read.encoding": {
        "UTF-8": "utf-8",
        "Windows (Western)": "cp1252",
        "UTF-16": "utf-16",
        "ISO 8859-1": "latin-1",
    },
    "read.decimal": {"point": ".", "comma": ","},
    "read.thousands": {"none": "", "comma": ",", "point": ".", "blank": " ", "apostrophe": "'"},
}
_FIRST_CHOICE: Final = {
    "rows": "transaction",
    "read.delimiter": "comma",
    "read.encoding": "UTF-8",
    "read.header_line": 1,
    "read.decimal": "point",
    "read.thousands": "none",
}
_START: Final = f"""\
Please tell us what your files hold. Fill in the yellow cells only.

1. Sheet "{FILES_SHEET}": give the name of each file that you will send, for instance sales*.csv,\
 where * stands for whatever changes. Leave the others empty.
2. One sheet for each kind of row: write the name of your column beside each field of ours, exactly\
 as in your file's header. Leave out what you do not have.
3. If a value is the same for all rows, write it under "{FIXED}"; if it must be worked out, under\
 "{CALCULATION}", for instance Quantity * [Unit Price].
4. If a value stands in several columns, join their names with +, for instance Date + Time or\
 Store + Receipt No.
5. Dates: write their form, for instance DD.MM.YYYY HH:mm. YYYY year, MM month, DD day, HH hour,\
 mm minutes, ss seconds, hh and a for a clock of twelve hours.
6. Sheet "{VALUES_SHEET}": where your words differ from ours, for instance Return for refund.

Line items, tenders and taxes are for files that hold them together with the sales.
Never send full card numbers.
"""
_EMPTY_VALUE_ROWS: Final = 40


def sheet_tables() -> tuple[str, ...]:
    """Return the tables that have a sheet, in the document's order."""
    return ("transactions", *CHILDREN, *(name for name in FILES if name != "transactions"))


def write_template(path: Path) -> None:
    """Write an empty mapping document. path: of an .xlsx file. Raises OSError."""
    with xlsxwriter.Workbook(path) as book:
        style = _Style(
            head=book.add_format({"bold": True, "bg_color": "#1F3A5F", "font_color": "white"}),
            fill=book.add_format({"bg_color": "#FFF7D6", "border": 1, "border_color": "#D9D2B0"}),
            plain=book.add_format({"text_wrap": True, "valign": "top"}),
            needed=book.add_format({"bold": True}),
        )
        _write_start(book.add_worksheet(START_SHEET), style)
        _write_files(book.add_worksheet(FILES_SHEET), style)
        for table in sheet_tables():
            _write_table(book.add_worksheet(table), table, style)
        _write_values(book.add_worksheet(VALUES_SHEET), style)


class _Style:
    """The formats of one workbook."""

    def __init__(self, head: Format, fill: Format, plain: Format, needed: Format) -> None:
        self.head = head
        self.fill = fill
        self.plain = plain
        self.needed = needed


def _write_start(sheet: Worksheet, style: _Style) -> None:
    sheet.set_column(0, 0, 100)
    for row, text in enumerate(_START.splitlines()):
        sheet.write_string(row, 0, text, style.plain)


def _write_files(sheet: Worksheet, style: _Style) -> None:
    sheet.write_row(0, 0, list(FILE_COLUMNS), style.head)
    sheet.freeze_panes(1, 1)
    sheet.set_column(0, 0, 14)
    sheet.set_column(1, len(FILE_COLUMNS) - 1, 20)
    for row, (table, what) in enumerate(FILES.items(), start=1):
        sheet.write_string(row, 0, table, style.needed)
        sheet.write_string(row, 1, what)
        for column, key in enumerate(FILE_COLUMNS.values()):
            if column > 1:
                sheet.write(row, column, _FIRST_CHOICE.get(key, ""), style.fill)
            if key in CHOICES:
                sheet.data_validation(
                    row, column, row, column, {"validate": "list", "source": list(CHOICES[key])}
                )


def _write_table(sheet: Worksheet, table: str, style: _Style) -> None:
    sheet.write_row(0, 0, list(TABLE_COLUMNS), style.head)
    sheet.freeze_panes(1, 1)
    for column, width in enumerate((24, 60, 8, 28, 24, 28, 24, 30)):
        sheet.set_column(column, column, width)
    for row, (name, target) in enumerate(targets(table).items(), start=1):
        is_needed = name in REQUIRED if table == "transactions" else target.key
        sheet.write_string(row, 0, name, style.needed)
        sheet.write_string(row, 1, MEANINGS[table][name])
        sheet.write_string(row, 2, "yes" if is_needed else "")
        for column in range(3, len(TABLE_COLUMNS)):
            sheet.write_blank(row, column, None, style.fill)


def _write_values(sheet: Worksheet, style: _Style) -> None:
    sheet.write_row(0, 0, list(VALUE_COLUMNS), style.head)
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, 2, 28)
    for row in range(1, _EMPTY_VALUE_ROWS):
        for column in range(len(VALUE_COLUMNS)):
            sheet.write_blank(row, column, None, style.fill)
