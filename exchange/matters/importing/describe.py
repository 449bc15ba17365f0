"""From a record to the description of a matter: a rule without database or clock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from exchange.matters.applying import ENTITY, material_names
from exchange.matters.importing.layout import Field, Layout
from foundation.identifiers import contains_citizen_id
from foundation.signing import canonical_json
from foundation.text import is_clean

LONGEST = {
    "title": 2000,
    "department_name": 2000,
    "purpose": 2000,
    "kind": 60,
    "legal_basis": 5000,
    "conditions": 20_000,
}
MOST_MATERIALS = 200
LONGEST_NAME = 500

_DAYS = re.compile(r"^\D{0,6}?(\d{1,4})\s*(?:个)?\s*[(（]?\s*(工作日|自然日|日历日|天|日)?\s*[)）]?$")
_USCC = re.compile("^[0-9A-HJ-NPQRTUWXY]{18}$")
_CALENDAR = frozenset({"自然日", "日历日", "天", "日"})


class Unfit(Exception):
    """A record that makes no matter: which field, and why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def describe(values: Mapping[str, Any], layout: Layout) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the description (version 1, without `source`) that a record makes, and what could not be taken over.

    Raises:
        Unfit: as it says.
    """
    read = {name: _read(name, field, values, layout) for name, field in layout.fields.items()}
    remarks = []
    days = read.get("promised_days")
    if days is not None and days[1]:
        # A description promises working days; calendar days are another promise, and none is made in their place.
        remarks.append("promised-in-calendar-days")
        days = None
    if _USCC.match(read["department"]) is None:
        # Bodies that had none when the list was made stand in it with a code for the time being.
        remarks.append("department-without-uscc")
    document: dict[str, Any] = {
        "code": read["code"],
        "version": 1,
        "title": read["title"],
        "department": read["department"],
        "department_name": read["department_name"],
        "purpose": read.get("purpose") or read["title"],
        "subjects": _subjects(read.get("applicants"), layout),
        "materials": [_material(number, name) for number, name in enumerate(read.get("materials") or (), 1)],
    }
    for name in ("division", "kind", "legal_basis", "conditions"):
        if read.get(name) is not None:
            document[name] = read[name]
    if days is not None:
        document["promised_days"] = days[0]
    return document, tuple(remarks)


def digest(document: Mapping[str, Any]) -> str:
    """Return SHA-256 of what a source says of a matter, the same whatever file it came in."""
    return hashlib.sha256(canonical_json(dict(document))).hexdigest()


def _read(name: str, field: Field, values: Mapping[str, Any], layout: Layout) -> Any:
    value = values.get(field.column)
    if field.as_ == "list":
        elements = tuple(_elements(name, field, value, layout))
        if name == "materials" and len(elements) > MOST_MATERIALS:
            raise Unfit(name, "too-many")
        if not elements:
            _require_optional(name, field)
        return elements
    if isinstance(value, list | dict | bool):
        raise Unfit(name, "not-text")
    text = "" if value is None else str(value).strip()
    if not text or text in layout.nothing:
        _require_optional(name, field)
        return None
    _require_fit(name, text, LONGEST.get(name, 100))
    if field.as_ == "working-days":
        found = _DAYS.match(text)
        if found is None:
            raise Unfit(name, "no-number-of-days")
        return int(found[1]), found[2] in _CALENDAR
    if field.pattern is not None:
        found = field.pattern.match(text)
        if found is None:
            raise Unfit(name, "malformed")
        return found[1]
    return text


def _require_optional(name: str, field: Field) -> None:
    if not field.optional:
        raise Unfit(name, "missing")


def _elements(name: str, field: Field, value: Any, layout: Layout) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, str):
        pieces: list[Any] = re.split(f"[{re.escape(field.separators)}]", value)
    elif isinstance(value, list):
        pieces = value
    else:
        raise Unfit(name, "no-list")
    for piece in pieces:
        if not isinstance(piece, str):
            raise Unfit(name, "no-list-of-texts")
        text = piece.strip()
        if text and text not in layout.nothing:
            _require_fit(name, text, LONGEST_NAME)
            yield text


def _require_fit(name: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise Unfit(name, "too-long")
    if not is_clean(text.replace("\n", " ").replace("\r", " ").replace("\t", " ")):
        raise Unfit(name, "control-characters")
    if contains_citizen_id(text):
        raise Unfit(name, "holds-a-citizen-id")


def _subjects(applicants: tuple[str, ...] | None, layout: Layout) -> dict[str, Any]:
    """Say who a case is about; where the record does not say, whoever stands at the counter."""
    given = frozenset(applicants or ())
    unknown = given - layout.persons - layout.entities
    if unknown:
        raise Unfit("applicants", "unknown-word")
    if given and given <= layout.entities:
        return {"applicant": {"kind": "uscc", "title": "申请单位"}}
    subjects: dict[str, Any] = {"applicant": {"kind": "citizen-id", "title": "申请人"}}
    if given & layout.entities:
        subjects[ENTITY] = {"kind": "uscc", "title": "申请单位", "required": False}
    return subjects


def _material(number: int, published: str) -> dict[str, Any]:
    try:
        names = material_names(published)
    except ValueError as error:
        raise Unfit("materials", "nothing-visible") from error
    return {
        "id": f"m{number}",
        "name": names.text,
        "name_as_published": published,
        "matching": {"names": list(names.parts), "joined": names.joined.value},
    }
