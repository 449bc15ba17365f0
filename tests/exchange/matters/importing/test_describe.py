"""From a record to a description: what is read, and what is refused with its field."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.matters.importing.describe import Unfit, describe, digest
from exchange.matters.importing.layout import (
    LayoutBroken,
    LayoutUnknown,
    layout_of,
    layouts,
    named_layout,
    read_layout,
)
from exchange.matters.importing.records import MattersUnreadable, read_records
from exchange.matters.matter import MatterMalformed, read_matter
from foundation.identifiers import CitizenId

GUANGDONG = layouts()["guangdong-42"]


def record(**changes: Any) -> dict[str, Any]:
    return {
        "TASK_CODE": "11990100MB2B000017X2440101007000",
        "TASK_NAME": "教材复查",
        "DEPT_NAME": "示范省教育厅",
        "AREACODE": "990100",
        "TASK_TYPE_TEXT": "行政许可",
        "accept_standard": "无",
        "handle_time_limit": "18(工作日)",
        "service_object_name": ["自然人", "企业法人"],
        "material_intro": ["申请表", "《营业执照》复印件"],
        **changes,
    }


def test_a_record_becomes_a_description() -> None:
    document, remarks = describe(record(), GUANGDONG)
    matter = read_matter(document)
    assert (matter.code, matter.title, matter.department) == (
        "11990100MB2B000017X2440101007000",
        "教材复查",
        "11990100MB2B000017",
    )
    assert matter.subjects == {"applicant": "citizen-id", "entity": "uscc"}
    assert matter.required_subjects == {"applicant"}
    assert document["promised_days"] == 18 and "conditions" not in document
    assert [each["name"] for each in document["materials"]] == ["申请表", "营业执照"]
    assert document["materials"][1]["name_as_published"] == "《营业执照》复印件"
    assert remarks == ()


@pytest.mark.parametrize(
    ("applicants", "subjects"),
    [
        (["自然人"], {"applicant": "citizen-id"}),
        (["企业法人", "行政机关"], {"applicant": "uscc"}),
        (None, {"applicant": "citizen-id"}),
    ],
)
def test_who_may_apply_says_who_a_case_is_about(applicants: Any, subjects: dict[str, str]) -> None:
    document, _remarks = describe(record(service_object_name=applicants), GUANGDONG)
    assert read_matter(document).subjects == subjects


def test_calendar_days_are_not_taken_for_working_days() -> None:
    document, remarks = describe(record(handle_time_limit="30(自然日)"), GUANGDONG)
    assert "promised_days" not in document
    assert remarks == ("promised-in-calendar-days",)


@pytest.mark.parametrize("nothing", ["无", "", None, []])
def test_no_materials_are_none(nothing: Any) -> None:
    assert describe(record(material_intro=nothing), GUANGDONG)[0]["materials"] == []


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"TASK_CODE": None}, "code", "missing"),
        ({"TASK_CODE": "short"}, "department", "malformed"),
        ({"TASK_NAME": "无"}, "title", "missing"),
        ({"TASK_NAME": ["a"]}, "title", "not-text"),
        ({"TASK_NAME": "x" * 3000}, "title", "too-long"),
        ({"TASK_NAME": "a\x00b"}, "title", "control-characters"),
        ({"AREACODE": "44"}, "division", "malformed"),
        ({"handle_time_limit": "很快"}, "promised_days", "no-number-of-days"),
        ({"material_intro": ["《》（）", 3]}, "materials", "no-list-of-texts"),
        ({"material_intro": ["\u200b\u200b"]}, "materials", "nothing-visible"),
        ({"material_intro": 7}, "materials", "no-list"),
        ({"material_intro": ["表"] * 201}, "materials", "too-many"),
        ({"service_object_name": ["外星人"]}, "applicants", "unknown-word"),
        (
            {"TASK_NAME": f"张三{CitizenId.compute('990101', date(1980, 2, 29), 1).reveal()}"},
            "title",
            "holds-a-citizen-id",
        ),
    ],
)
def test_a_bad_record_is_told_with_its_field(changes: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(Unfit) as unfit:
        describe(record(**changes), GUANGDONG)
    assert (unfit.value.field, unfit.value.reason) == (field, reason)


def test_the_digest_is_the_same_whatever_the_list_was_written_in() -> None:
    cells = record(service_object_name="自然人\n企业法人", material_intro="申请表\n《营业执照》复印件 ")
    assert digest(describe(cells, GUANGDONG)[0]) == digest(describe(record(), GUANGDONG)[0])
    assert digest(describe(record(TASK_NAME="复查"), GUANGDONG)[0]) != digest(
        describe(record(), GUANGDONG)[0]
    )


def test_a_layout_shows_in_the_columns() -> None:
    assert layout_of(record()).id == "guangdong-42"
    assert layout_of(["事项编码", "事项名称", "别的"]).id == "plain"
    assert layout_of(record(), GUANGDONG) is GUANGDONG
    for columns, wanted in ((["a"], None), (list(record()), named_layout("plain"))):
        with pytest.raises(LayoutUnknown):
            layout_of(columns, wanted)
    with pytest.raises(LayoutUnknown):
        named_layout("unheard-of")


OWN: dict[str, Any] = {
    "id": "own",
    "title": "A city's own",
    "recognised_by": ["编号"],
    "nothing": [],
    "persons": ["个人"],
    "entities": [],
    "fields": {
        "code": {"column": "编号"},
        "title": {"column": "名称"},
        "department": {"column": "编号", "pattern": "^(.{3})"},
        "department_name": {"column": "单位"},
        "materials": {"column": "材料", "as": "list", "separators": "|"},
    },
}


def test_a_layout_of_a_city_s_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_bytes(orjson.dumps(OWN))
    document, _remarks = describe(
        {"编号": "ABC-1", "名称": "事", "单位": "局", "材料": "身份证|教材"}, read_layout(path)
    )
    assert read_matter(document).department == "ABC"
    assert [each["name"] for each in document["materials"]] == ["身份证", "教材"]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"code": {}}, "/fields/code"),
        ({"colour": {"column": "色"}}, "/fields"),
        ({"materials": {"column": "材料", "as": "list"}}, "/fields/materials"),
        ({"division": {"column": "区", "pattern": "("}}, "/fields/division/pattern"),
        ({"division": {"column": "区", "pattern": "^a$"}}, "/fields/division/pattern"),
    ],
)
def test_a_broken_layout_is_told_with_its_place(tmp_path: Path, fields: dict[str, Any], place: str) -> None:
    path = tmp_path / "own.json"
    path.write_bytes(orjson.dumps(OWN | {"fields": OWN["fields"] | fields}))
    with pytest.raises(LayoutBroken) as broken:
        read_layout(path)
    assert broken.value.values["place"] == place
    path.write_bytes(b"{")
    with pytest.raises(LayoutBroken):
        read_layout(path)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.sampled_from(["无", "1(工作日)", "自然人"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@given(st.sampled_from(sorted(record())), JSON_VALUES)
def test_whatever_stands_in_a_column_a_description_comes_of_it_or_the_field_is_told(
    column: str, value: Any
) -> None:
    try:
        document, _remarks = describe(record(**{column: value}), GUANGDONG)
    except Unfit as unfit:
        assert unfit.field in GUANGDONG.fields
        return
    try:
        read_matter(document)
    except MatterMalformed as error:
        assert error.pointer


@given(
    st.binary(max_size=60)
    | st.sampled_from([b"PK\x03\x04", b"\xd0\xcf\x11\xe0"]).map(lambda head: head + b"x" * 30)
)
def test_whatever_is_in_a_file_it_is_records_or_refused(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            found = list(read_records(Path(file.name)))
        except MattersUnreadable:
            return
    assert all(each.row >= 1 and (each.values is None) == (each.reason is not None) for each in found)
