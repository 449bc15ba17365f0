"""The catalogue as a workbook, as departments keep it.

A sheet 数据资源 has a row for each resource, a sheet 信息项 one for each field; headings are Chinese, and so are the
words for what is chosen from a list.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from python_calamine import CalamineError, CalamineWorkbook

from exchange.catalog.document import Document
from foundation.errors import DomainError
from foundation.language import _

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

RESOURCES, FIELDS = "数据资源", "信息项"
MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

LARGEST_UNPACKED = 512 << 20
"""Bytes that a workbook may have unpacked; a few kilobytes can pretend to be a million rows."""

_SHARING = {"unconditional": "无条件共享", "conditional": "有条件共享", "not-shared": "不予共享"}
_REGISTERS = {"persons": "人口库", "legal_entities": "法人库", "credentials": "证照库"}
_SUBJECTS = {"citizen-id": "自然人", "uscc": "法人", "licence": "证照"}
_TYPES = {
    "text": "文本",
    "date": "日期",
    "number": "数值",
    "boolean": "布尔",
    "code": "代码",
    "list": "列表",
}
_LIVE = {True: "是", False: "否"}
_SENSITIVITIES = {"public": "公开", "internal": "内部", "sensitive": "敏感"}
_MASKINGS = {
    "none": "不脱敏",
    "name": "姓名脱敏",
    "identifier": "号码脱敏",
    "date": "仅显示年份",
    "address": "地址脱敏",
    "hidden": "全部隐藏",
}
_LISTED = "；"
"""Sets synonyms apart in their cell."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: its heading, the member that it holds, the words for its values, its width in characters."""

    heading: str
    member: str
    words: Mapping[Any, str] | None = None
    width: int = 18


_RESOURCE_COLUMNS = (
    _Column("资源代码", "id", width=26),
    _Column("资源名称", "title", width=28),
    _Column("英文名称", "title_en", width=28),
    _Column("资源摘要", "description", width=40),
    _Column("提供部门", "owner", width=26),
    _Column("部门统一社会信用代码", "department", width=24),
    _Column("共享类型", "sharing_class", _SHARING),
    _Column("不予共享依据", "legal_basis", width=36),
    _Column("共享条件", "conditions", width=36),
    _Column("主题分类", "theme"),
    _Column("主体类型", "subject_kind", _SUBJECTS),
    _Column("数据来源库", "register", _REGISTERS),
    _Column("更新周期", "freshness", width=12),
    _Column("数源", "lead_source"),
    _Column("同义词", "synonyms", width=30),
    _Column("部门在线查询", "live", _LIVE, width=14),
    _Column("变更说明", "notice", width=36),
)
_FIELD_COLUMNS = (
    _Column("资源代码", "resource", width=26),
    _Column("信息项代码", "name", width=26),
    _Column("信息项名称", "title", width=26),
    _Column("英文名称", "title_en", width=30),
    _Column("数据类型", "type", _TYPES),
    _Column("敏感级别", "sensitivity", _SENSITIVITIES),
    _Column("脱敏规则", "masking", _MASKINGS),
    _Column("数源", "lead_source"),
    _Column("责任部门", "owner", width=26),
)
_REQUIRED = ("id", "title")


class CatalogueFileUnreadable(DomainError):
    code = "catalogue-file-unreadable"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be taken: sheet, row as the workbook counts it, heading of the column, reason.

    Args:
        field: heading; empty where it is the row as a whole.
        reason: a code: `unknown-word`, `missing`, `repeated`, `no-resource`, `row-of-it-bad`, or a refusal's own code.
        detail: what a person reads, Chinese and English; never the value of the cell.
    """

    sheet: str
    row: int
    field: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReadResource:
    """A resource of a workbook, still to be completed, and the rows that it stands in."""

    document: Document
    row: int
    field_rows: tuple[int, ...]


def to_workbook(documents: Iterable[Mapping[str, Any]]) -> bytes:
    """Return complete documents as the bytes of an .xlsx."""
    # Here and below, not above: what draws workbooks takes long to load, and most processes write none.
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

    workbook = Workbook()
    resources = workbook.active
    assert isinstance(resources, Worksheet)
    resources.title = RESOURCES
    fields = workbook.create_sheet(FIELDS)
    _head(resources, _RESOURCE_COLUMNS)
    _head(fields, _FIELD_COLUMNS)
    for document in documents:
        resources.append([_cell(document[column.member], column) for column in _RESOURCE_COLUMNS])
        for each in document["fields"]:
            row = {**each, "resource": document["id"]}
            fields.append([_cell(row[column.member], column) for column in _FIELD_COLUMNS])
    _choices(resources, _RESOURCE_COLUMNS)
    _choices(fields, _FIELD_COLUMNS)
    for sheet in (resources, fields):
        for row_of_cells in sheet.iter_rows():
            for cell in row_of_cells:
                # A text that begins with = is a text: nobody's catalogue is to calculate anything.
                if cell.data_type == "f":
                    cell.data_type = "s"
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


def read_workbook(content: bytes) -> tuple[list[ReadResource], list[BadRow]]:
    """Return the resources of a workbook, and the rows that cannot be taken. A resource with a bad row is not taken.

    Raises:
        CatalogueFileUnreadable: it is no such workbook, lacks a sheet or a heading, or unpacks to too much.
    """
    workbook = _opened(content)
    bad: list[BadRow] = []
    found: dict[str, tuple[int, Document]] = {}
    for row, values, wrong in _rows(workbook, RESOURCES, _RESOURCE_COLUMNS, _REQUIRED):
        bad += wrong
        name = values.get("id")
        if not isinstance(name, str):
            continue
        if name in found:
            bad.append(BadRow(RESOURCES, row, "资源代码", "repeated"))
            continue
        if "synonyms" in values:
            texts = str(values["synonyms"]).replace(";", _LISTED).split(_LISTED)
            values["synonyms"] = [text.strip() for text in texts if text.strip()]
        found[name] = (row, {**values, "fields": []})
    rows_of: dict[str, list[int]] = {name: [] for name in found}
    broken = {values[0] for values in found.values() if any(b.row == values[0] for b in bad)}
    spoilt: set[str] = set()
    for row, values, wrong in _rows(workbook, FIELDS, _FIELD_COLUMNS, ("resource", "name")):
        bad += wrong
        name = values.pop("resource", None)
        if not isinstance(name, str):
            continue
        if name not in found:
            bad.append(BadRow(FIELDS, row, "资源代码", "no-resource"))
            continue
        if wrong:
            spoilt.add(name)
            continue
        found[name][1]["fields"].append(values)
        rows_of[name].append(row)
    bad += [
        BadRow(RESOURCES, found[name][0], "", "row-of-it-bad")
        for name in sorted(spoilt)
        if found[name][0] not in broken
    ]
    taken = [
        ReadResource(document, row, tuple(rows_of[name]))
        for name, (row, document) in found.items()
        if row not in broken and name not in spoilt
    ]
    return taken, sorted(bad, key=lambda each: (each.sheet != RESOURCES, each.row))


def place_of(resource: ReadResource, pointer: str | None) -> tuple[str, int, str]:
    """Return sheet, row and heading that a JSON Pointer into a document of a workbook means."""
    parts = (pointer or "").split("/")[1:]
    if len(parts) >= 2 and parts[0] == "fields" and parts[1].isdigit():
        member = parts[2] if len(parts) > 2 else ""
        return FIELDS, resource.field_rows[int(parts[1])], _heading(_FIELD_COLUMNS, member)
    return RESOURCES, resource.row, _heading(_RESOURCE_COLUMNS, parts[0] if parts else "")


def _heading(columns: tuple[_Column, ...], member: str) -> str:
    return next((column.heading for column in columns if column.member == member), "")


def _opened(content: bytes) -> CalamineWorkbook:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            unpacked = sum(each.file_size for each in packed.infolist())
        if unpacked > LARGEST_UNPACKED:
            raise CatalogueFileUnreadable(
                _("the workbook unpacks to more than {size} bytes"), size=LARGEST_UNPACKED
            )
        return CalamineWorkbook.from_filelike(io.BytesIO(content))
    except (zipfile.BadZipFile, NotImplementedError, CalamineError) as error:
        raise CatalogueFileUnreadable(_("it is no workbook (.xlsx)")) from error


def _rows(
    workbook: CalamineWorkbook, sheet: str, columns: tuple[_Column, ...], required: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, Any], list[BadRow]]]:
    """Yield number, values by member and faults of each row that has anything in it."""
    if sheet not in workbook.sheet_names:
        raise CatalogueFileUnreadable(_("it has no sheet {sheet}"), sheet=sheet)
    try:
        rows = workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except CalamineError as error:
        raise CatalogueFileUnreadable(_("it is no workbook (.xlsx)")) from error
    head = [str(cell).strip() for cell in rows[0]] if rows else []
    at = {heading: place for place, heading in enumerate(head)}
    for column in columns:
        if column.member in required and column.heading not in at:
            raise CatalogueFileUnreadable(
                _("sheet {sheet} has no column {column}"), sheet=sheet, column=column.heading
            )
    for number, row in enumerate(rows[1:], 2):
        if all(cell == "" for cell in row):
            continue
        values: dict[str, Any] = {}
        wrong: list[BadRow] = []
        for column in columns:
            place = at.get(column.heading)
            text = "" if place is None or place >= len(row) else _shown(row[place])
            if not text:
                if column.member in required:
                    wrong.append(BadRow(sheet, number, column.heading, "missing"))
                continue
            value = text if column.words is None else _member(column.words, text)
            if value is None:
                wrong.append(BadRow(sheet, number, column.heading, "unknown-word"))
            else:
                values[column.member] = value
        yield number, values, wrong


def _shown(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _member(words: Mapping[Any, str], text: str) -> Any:
    if text in words:
        return text
    return next((value for value, word in words.items() if word == text), None)


def _cell(value: Any, column: _Column) -> Any:
    if value is None:
        return None
    if column.words is not None:
        return column.words[value]
    return _LISTED.join(value) if isinstance(value, list) else value


def _head(sheet: Worksheet, columns: tuple[_Column, ...]) -> None:
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter

    sheet.append([column.heading for column in columns])
    sheet.freeze_panes = "C2"
    for number, column in enumerate(columns, 1):
        cell = sheet.cell(1, number)
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor="DDE8F5")
        cell.alignment = Alignment(vertical="center")
        sheet.column_dimensions[get_column_letter(number)].width = column.width


def _choices(sheet: Worksheet, columns: tuple[_Column, ...]) -> None:
    """Let who fills the workbook in choose from the words that it may hold."""
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    for number, column in enumerate(columns, 1):
        if column.words is not None:
            letter = get_column_letter(number)
            rule = DataValidation("list", formula1=f'"{",".join(column.words.values())}"', allow_blank=True)
            rule.add(f"{letter}2:{letter}{max(sheet.max_row, 2) + 1000}")
            sheet.add_data_validation(rule)
