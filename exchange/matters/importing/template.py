"""The empty workbook that departments fill in: the headings of a layout, and what goes under each."""

from __future__ import annotations

from pathlib import Path

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter

from exchange.matters.importing.layout import Layout, layouts

PLAIN = "plain"


def write_template(path: Path, layout: Layout | None = None) -> None:
    """Write an .xlsx whose first sheet has the headings and nothing else; the second says what they mean."""
    chosen = layout or layouts()[PLAIN]
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.title = "事项"
    notes = workbook.create_sheet("填写说明")
    notes.append(["列", "必填", "说明", "示例"])
    for number, field in enumerate(chosen.fields.values(), 1):
        sheet.cell(1, number, field.column).font = Font(bold=True)
        sheet.column_dimensions[get_column_letter(number)].width = 24
        notes.append(
            [field.column, "否" if field.optional else "是", field.note or None, field.example or None]
        )
    for cell in notes[1]:
        cell.font = Font(bold=True)
    for letter, width in zip("ABCD", (16, 8, 44, 44), strict=True):
        notes.column_dimensions[letter].width = width
        for cell in notes[letter]:
            cell.alignment = Alignment(wrap_text=True, vertical="top")
    sheet.freeze_panes = "A2"
    workbook.save(path)
