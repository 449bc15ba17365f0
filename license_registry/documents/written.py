"""What a document says, before it has a place on paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from foundation.civil import civil_date
from license_registry.catalog.types import CO_HOLDERS, LicenceType
from license_registry.documents.template import Template
from license_registry.sharing.names import of_fields, of_licence
from license_registry.tables import Licence

UNLIMITED = "长期"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the document; `field` is the field's name in the type, for refusals."""

    label: str
    value: str
    field: str


@dataclass(frozen=True, slots=True)
class Attached:
    """A file inside the document; `data` is text in ASCII."""

    name: str
    media_type: str
    description: str
    data: str


@dataclass(frozen=True, slots=True)
class Written:
    """All that stands on a document and in it.

    Args:
        rows: the fields; `terms`: dates and validity.
        notes: small print at the foot of the last page.
        mark: lines of the mark of a copy (加注件), on every page; none for the holder's document.
        metadata: GB/T 36903, by short name.
        made_at: what the document's own dates are: of the licence or of the copy, never of the drawing.
    """

    title: str
    subtitle: str
    number: str
    rows: tuple[Row, ...]
    terms: tuple[Row, ...]
    statement: str | None
    issuer: str
    issued_on: str
    identifier: str
    notes: tuple[str, ...]
    mark: tuple[str, ...]
    metadata: Mapping[str, str]
    attached: tuple[Attached, ...]
    made_at: datetime


def write_out(
    licence: Licence,
    type_: LicenceType,
    template: Template,
    fields: Mapping[str, Any],
    attached: tuple[Attached, ...],
    *,
    made_at: datetime,
    marked: Mapping[str, str] | None = None,
) -> Written:
    """Put a licence into words.

    Args:
        type_: the version of the type that it was issued under.
        fields: of the credential, as far as they are to be shown.
        marked: of a marked copy, by the short names of the mark; None: the licence's own document.
    """
    shown = {**of_licence(licence, type_), **of_fields(fields, {type_.id: type_})}
    return Written(
        title=template.title or type_.name,
        subtitle=template.subtitle or type_.name_en,
        number=licence.number,
        rows=_rows(type_, template, fields),
        terms=_terms(licence),
        statement=template.statement,
        issuer=licence.issuer_name or licence.issuer,
        issued_on=_in_chinese(licence.issued_on),
        identifier=licence.identifier,
        notes=_notes(licence, template, marked is not None),
        mark=() if marked is None else _mark(marked),
        metadata={
            **{
                name: _as_text(value)
                for name, value in shown.items()
                if value is not None or name == "ZZYXQJZRQ"
            },
            **({"GLZZBS": licence.related_identifier} if licence.related_identifier else {}),
            **(marked or {}),
        },
        attached=attached,
        made_at=made_at,
    )


def _rows(type_: LicenceType, template: Template, fields: Mapping[str, Any]) -> tuple[Row, ...]:
    properties: Mapping[str, Any] = type_.schema["properties"]
    rows: list[Row] = []
    for name in template.fields or properties:
        value = fields.get(name)
        if value is None:
            continue
        title = str(properties[name]["title"])
        if name != CO_HOLDERS:
            rows.append(Row(title, str(value), name))
            continue
        inner: Mapping[str, Any] = properties[name]["items"]["properties"]
        for turn, holder in enumerate(value, 1):
            which = title if len(value) == 1 else f"{title}{turn}"
            rows += [
                Row(f"{which}{told['title']}", str(holder[part]), name)
                for part, told in inner.items()
                if holder.get(part) is not None
            ]
    return tuple(rows)


def _terms(licence: Licence) -> tuple[Row, ...]:
    until = UNLIMITED if licence.valid_until is None else f"至 {_in_chinese(licence.valid_until)}"
    terms = [Row("有效期限", f"自 {_in_chinese(licence.valid_from)} {until}", "valid_until")]
    if licence.first_issued_on != licence.issued_on:
        terms.append(Row("首次发证日期", _in_chinese(licence.first_issued_on), "first_issued_on"))
    return tuple(terms)


def _notes(licence: Licence, template: Template, copied: bool) -> tuple[str, ...]:
    notes = ["扫描二维码得到证照标识；证照此刻的状态以在线核验为准。"]
    notes.append("内附签名的加注件。" if copied else "内附签发的电子凭证，凭证与本文件不一致的，以凭证为准。")
    if licence.origin == "digitised":
        notes.append("由存量纸质证照转换。")
    if template.example:
        notes.append("例：本版式为示例，不是该类证照的法定式样。")
    return tuple(notes)


def _mark(marked: Mapping[str, str]) -> tuple[str, ...]:
    day = civil_date(datetime.fromisoformat(marked["JZJYXQJZSJ"]))
    made = civil_date(datetime.fromisoformat(marked["JZJZZSJ"]))
    cause = f"；用证事由：{marked['use_cause']}" if "use_cause" in marked else ""
    times = f"加注时间：{_in_chinese(made)}　有效期至：{_in_chinese(day)}"
    return (
        f"加注件　仅供 {marked['JZJZZZ']} 使用，用于：{marked['JZJZZSY']}{cause}",
        f"事项：{marked['matter']}　办件：{marked['case']}　{times}",
    )


def _in_chinese(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _as_text(value: Any) -> str:
    if value is None:
        return UNLIMITED
    if isinstance(value, list):
        return "；".join(_as_text(each) for each in value)
    if isinstance(value, dict):
        return "，".join(_as_text(each) for each in value.values())
    return str(value)
