"""Checks and normalising: every kind of column, every kind of mess, and that a row is either kept or told why."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mapping import SourceMapping, load_mapping, parse_mapping
from connectors.quality import Checked, Checker, Finding
from connectors.sources.raw import BadRow, RawBatch, SourceError
from exchange.registers.schemas import load_registers
from foundation.identifiers import CitizenId, Uscc

PERSON = CitizenId.compute("990101", date(1980, 2, 28), 123).reveal()
FIFTEEN = PERSON[:6] + PERSON[8:17]
WITH_X = next(
    found
    for found in (CitizenId.compute("990102", date(1980, 2, 28), n).reveal() for n in range(99))
    if found.endswith("X")
)
COMPANY = Uscc.compute("91990101MB2A00001").text
ROW: dict[str, Any] = {
    "公民身份号码": PERSON,
    "姓名": "张三丰",
    "性别": "男",
    "出生日期": "1980-02-28",
    "民族": "汉族",
    "婚姻状况": "已婚",
    "配偶身份号码": "",
    "户号": "H1",
    "与户主关系": "户主",
    "户籍区划": "990101",
    "居住区划": "990102",
    "住址": "东湖路1号",
    "迁入日期": "",
    "人口状态": "正常",
    "死亡日期": "",
}
ENTITY: dict[str, Any] = {
    "企业名称": "示范市光明有限公司",
    "统一社会信用代码": COMPANY,
    "注册日期": "2003-01-02",
    "企业类型": "N/A",
    "法人代表": "N/A",
    "注册资金": "2,000(万)",
    "经营范围": "-",
    "所在省份": "示范",
    "地区": "示范市",
    "注册地址": "无",
}
TODAY = date(2025, 6, 30)
POPULATION = load_mapping("population")
ENTITIES = load_mapping("legal-entities")


def check(mapping: SourceMapping, *rows: dict[str, Any], today: date = TODAY) -> Checked:
    """Check rows, column → value, as a source would give them; what is not there is None."""
    checker = Checker(mapping, load_registers()[mapping.register_name], today)
    columns = [tuple(row.get(column.column) for row in rows) for column in mapping.columns]
    raw = [f"raw {number}".encode() for number in range(1, len(rows) + 1)]
    return checker.check(RawBatch(list(range(1, len(rows) + 1)), columns, raw, [], len(rows)))


def one(mapping: SourceMapping, row: dict[str, Any], **changes: Any) -> Checked:
    """Check one row changed in some columns, between two good neighbours that must come through."""
    checked = check(mapping, row, row | changes, row)
    assert {1, 3} <= set(checked.origins)
    assert not [finding for finding in checked.findings if finding.origin_row != 2]
    return checked


def kept(checked: Checked) -> dict[str, Any]:
    return checked.records()[checked.origins.index(2)]


def test_a_good_row_becomes_a_record_without_its_empty_fields() -> None:
    checked = check(POPULATION, ROW)
    assert list(checked.columns) == sorted(checked.columns)
    assert checked.records() == [
        {
            "citizen_id": PERSON,
            "name": "张三丰",
            "sex": "male",
            "birth_date": "1980-02-28",
            "ethnicity": "汉族",
            "marital_status": "married",
            "household_number": "H1",
            "relation": "户主",
            "registration_division": "990101",
            "residence_division": "990102",
            "address": "东湖路1号",
            "status": "resident",
        }
    ]
    assert (checked.bad, checked.raw, checked.findings) == ([], [b"raw 1"], [])


NORMALISED: dict[str, tuple[str, Any, str, Any, str | None]] = {
    "white space around": ("姓名", " 张三 \u3000", "name", "张三", None),
    "a tab inside": ("住址", "东湖路\t1号", "address", "东湖路 1号", "whitespace-normalised"),
    "a line break inside": ("住址", "东湖路 \r\n 1号", "address", "东湖路 1号", "whitespace-normalised"),
    "a soft line break inside": ("住址", "东湖路\v1号", "address", "东湖路 1号", "whitespace-normalised"),
    "a no-break space inside": ("住址", "东湖路\u00a01号", "address", "东湖路 1号", "whitespace-normalised"),
    "an ideographic space inside": ("姓名", "张\u3000三", "name", "张 三", "whitespace-normalised"),
    "a line separator inside": ("住址", "东湖路\u20281号", "address", "东湖路 1号", "whitespace-normalised"),
    "an invisible mark": ("姓名", "\ufeff张\u200b三", "name", "张三", "whitespace-normalised"),
    "only invisible marks": ("民族", "\u200b", "ethnicity", None, "whitespace-normalised"),
    "N/A with a mark": ("民族", "N/A\u200b", "ethnicity", None, "whitespace-normalised"),
    "an ID in an ID with spaces": ("公民身份号码", f" {PERSON}\t", "citizen_id", PERSON, None),
    "N/A": ("民族", "N/A", "ethnicity", None, None),
    "none": ("民族", " 无 ", "ethnicity", None, None),
    "a rare character of a name": ("姓名", "张𤧛·\u9fff䶮", "name", "张𤧛·\u9fff䶮", None),
    "a character younger than our tables": ("姓名", "张\U00031350", "name", "张\U00031350", None),
    "a private character": ("姓名", "张\ue5f1", "name", "张\ue5f1", None),
    "fifteen digits": ("公民身份号码", FIFTEEN, "citizen_id", PERSON, "converted-from-15-digits"),
    "a small x": ("配偶身份号码", WITH_X.lower(), "spouse_id", WITH_X, None),
    "an ID with a wide digit": (
        "公民身份号码",
        chr(ord(PERSON[0]) + 0xFEE0) + PERSON[1:],
        "citizen_id",
        PERSON,
        "width-normalised",
    ),
    "a spouse's ID with a wide x": (
        "配偶身份号码",
        WITH_X[:17] + "ｘ",
        "spouse_id",
        WITH_X,
        "width-normalised",
    ),
    "a household number in wide characters": (
        "户号",
        "Ｈ－１",
        "household_number",
        "H-1",
        "width-normalised",
    ),
    "a division in wide digits": (
        "户籍区划",
        "９９0101",
        "registration_division",
        "990101",
        "width-normalised",
    ),
    "a house number in wide digits": (
        "住址",
        "东湖路（北）１２号Ｂ座",
        "address",
        "东湖路（北）12号B座",
        "width-normalised",
    ),
    "a dot of another kind": ("姓名", "阿里•买买提", "name", "阿里·买买提", "interpunct-normalised"),
    "a day without dashes": ("迁入日期", "19980203", "moved_in_on", "1998-02-03", "date-normalised"),
    "a day in Chinese": ("迁入日期", "一九九八年二月三日", "moved_in_on", "1998-02-03", "date-normalised"),
    "a day with its time": ("迁入日期", "1998-02-03 08:30", "moved_in_on", "1998-02-03", "time-dropped"),
    "a leap day": ("死亡日期", "2024-02-29", "died_on", "2024-02-29", None),
    "a division of today": ("户籍区划", "110101", "registration_division", "110101", None),
    "an abolished division": ("户籍区划", "110103", "registration_division", "110103", "abolished-division"),
    "an unknown division": ("户籍区划", "999999", "registration_division", "999999", "unknown-division"),
    "a translated value": ("婚姻状况", "丧偶", "marital_status", "widowed", None),
}


@pytest.mark.parametrize("kind", NORMALISED)
def test_a_value_is_normalised_and_what_is_remarkable_is_found(kind: str) -> None:
    column, value, field, expected, code = NORMALISED[kind]
    checked = one(POPULATION, ROW, **{column: value})
    assert kept(checked).get(field) == expected
    assert checked.findings == ([Finding(2, field, code)] if code else [])


FAULTY: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "NUL": ({"姓名": "张\0三"}, "name", "control-character"),
    "escape": ({"住址": "东湖路\x1b[2J"}, "address", "control-character"),
    "delete": ({"住址": "东湖路\x7f1号"}, "address", "control-character"),
    "control beside a tab": ({"住址": "东湖路\t\x01"}, "address", "control-character"),
    "lone surrogate": ({"姓名": "张\ud800"}, "name", "control-character"),
    "text lost before": ({"姓名": "张\ufffd"}, "name", "garbled-text"),
    "text lost and mistaken": ({"姓名": "\ufffd\u07b9\ufffd˾"}, "name", "garbled-text"),
    "unassigned": ({"姓名": "张\u05fc"}, "name", "unassigned-character"),
    "a noncharacter": ({"姓名": "张\uffff"}, "name", "unassigned-character"),
    "no ID": ({"公民身份号码": "N/A"}, "citizen_id", "missing-field"),
    "no name": ({"姓名": "  "}, "name", "missing-field"),
    "no status": ({"人口状态": "-"}, "status", "missing-field"),
    "wrong check character": ({"公民身份号码": PERSON[:17] + "X"}, "citizen_id", "wrong-check-character"),
    "ID too short": ({"公民身份号码": PERSON[:17]}, "citizen_id", "wrong-length"),
    "ID with a letter": ({"公民身份号码": "A" + PERSON[1:]}, "citizen_id", "ill-formed"),
    "ID born never": ({"公民身份号码": "990101198002301231"}, "citizen_id", "impossible-birth-date"),
    "old ID born never": ({"公民身份号码": "990101800230123"}, "citizen_id", "impossible-birth-date"),
    "spouse's ID": ({"配偶身份号码": PERSON[:17] + "X"}, "spouse_id", "wrong-check-character"),
    "no such day": ({"迁入日期": "1998-02-30"}, "moved_in_on", "impossible-date"),
    "no such day, in Chinese": ({"迁入日期": "1998年2月30日"}, "moved_in_on", "impossible-date"),
    "a day number, where no workbook is": ({"迁入日期": "35829"}, "moved_in_on", "impossible-date"),
    "a year of two digits": ({"迁入日期": "98-02-03"}, "moved_in_on", "two-digit-year"),
    "a day of a week": ({"迁入日期": "1998-W05-2"}, "moved_in_on", "impossible-date"),
    "another birth date": ({"出生日期": "1980-02-29"}, "birth_date", "birth-date-contradicts-id"),
    "another birth date, old ID": (
        {"公民身份号码": FIFTEEN, "出生日期": "1980-02-29"},
        "birth_date",
        "birth-date-contradicts-id",
    ),
    "a value that no dictionary has": ({"性别": "男性"}, "sex", "unknown-value"),
    "a division of five digits": ({"户籍区划": "99010"}, "registration_division", "schema-pattern"),
    "a division of letters": ({"户籍区划": "东湖区"}, "registration_division", "schema-pattern"),
    "a long name": ({"姓名": "张" * 101}, "name", "schema-maxLength"),
    "a number where a text belongs": ({"姓名": 7}, "name", "not-text"),
    "a truth value": ({"姓名": True}, "name", "not-text"),
    "an object": ({"姓名": {"first": "三"}}, "name", "not-text"),
    "the first of two faults": ({"姓名": "张\0", "迁入日期": "never"}, "name", "control-character"),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_row_stays_behind_with_field_and_reason(kind: str) -> None:
    changes, field, reason = FAULTY[kind]
    checked = one(POPULATION, ROW, **changes)
    assert checked.origins == [1, 3]
    assert checked.bad == [BadRow(2, field, reason, b"raw 2")]
    assert checked.findings == [], "what stays behind has a reason, not findings"


@pytest.mark.parametrize("digits", [13, 14, 15])
def test_an_old_registration_number_is_kept_as_one(digits: int) -> None:
    number = "4401012000123"[:13].ljust(digits, "7")
    checked = one(ENTITIES, ENTITY, 统一社会信用代码=number)
    assert kept(checked)["registration_number"] == number
    assert "code" not in kept(checked)
    assert checked.findings == [Finding(2, "code", "old-registration-number")]


CODES = {
    "12 digits": ("440101200012", "wrong-length"),
    "16 digits": ("4401012000123456", "wrong-length"),
    "an old number with a letter": ("44010120001NA", "wrong-length"),
    "wrong check character": (COMPANY[:17] + ("1" if COMPANY[17] != "1" else "2"), "wrong-check-character"),
    "a letter that is not used": (COMPANY[:8] + "I" + COMPANY[9:], "ill-formed"),
    "Chinese": ("东湖路" * 6, "ill-formed"),
}


@pytest.mark.parametrize("kind", CODES)
def test_a_wrong_code_of_a_company_stays_behind(kind: str) -> None:
    code, reason = CODES[kind]
    assert one(ENTITIES, ENTITY, 统一社会信用代码=code).bad == [BadRow(2, "code", reason, b"raw 2")]


def test_a_company_in_small_letters_and_without_its_not_available_values() -> None:
    checked = one(ENTITIES, ENTITY, 统一社会信用代码=f" {COMPANY.lower()} ")
    assert kept(checked) == {
        "name": "示范市光明有限公司",
        "code": COMPANY,
        "established_on": "2003-01-02",
        "registered_capital": "2,000(万)",
        "registered_capital_amount": "20000000",
        "registered_capital_currency": "CNY",
        "province": "示范",
        "city": "示范市",
    }


def test_a_capital_that_cannot_be_read_stays_as_written() -> None:
    checked = one(ENTITIES, ENTITY, 注册资金="两千万左右")
    assert kept(checked)["registered_capital"] == "两千万左右"
    assert not {"registered_capital_amount", "registered_capital_currency"} & kept(checked).keys()
    assert checked.findings == [Finding(2, "registered_capital", "unreadable-amount")]


def test_a_capital_too_long_for_its_field_stays_behind_without_a_finding() -> None:
    checked = one(ENTITIES, ENTITY, 注册资金="很" * 101)
    assert checked.bad == [BadRow(2, "registered_capital", "schema-maxLength", b"raw 2")]
    assert checked.findings == []


@pytest.mark.parametrize("ahead", [-1, 0, 1, 400])
def test_who_is_born_after_the_day_of_the_run_is_a_finding(ahead: int) -> None:
    born = TODAY + timedelta(ahead)
    citizen_id = CitizenId.compute("990101", born, 7).reveal()
    child = {"公民身份号码": citizen_id, "出生日期": f"{born.year}/{born.month}/{born.day}"}
    codes = [
        (finding.field, finding.code)
        for finding in one(POPULATION, ROW, **child).findings
        if finding.code != "date-normalised"
    ]
    fields = ["citizen_id", "birth_date"] if ahead > 0 else []
    assert codes == [(field, "birth-in-the-future") for field in fields]


def test_a_company_without_any_number_stays_behind() -> None:
    checked = one(ENTITIES, ENTITY, 统一社会信用代码="N/A")
    assert checked.bad == [BadRow(2, None, "schema-anyOf", b"raw 2")]


def test_an_old_number_where_no_field_takes_it_is_of_the_wrong_length() -> None:
    text = "source: x\ntitle: x\ncontact: x\nregister: legal_entities\nformat: delimited\ncolumns:\n"
    mapping = parse_mapping(
        "x", text + "- {column: n, field: name}\n- {column: c, field: code, kind: uscc}\n"
    )
    checked = check(mapping, {"n": "甲", "c": COMPANY}, {"n": "乙", "c": "4401012000123"})
    assert checked.bad == [BadRow(2, "code", "wrong-length", b"raw 2")]


@given(st.lists(st.sampled_from(sorted(FAULTY) + sorted(NORMALISED) + [""]), max_size=12))
def test_every_row_of_a_batch_is_judged_as_if_it_were_alone(kinds: list[str]) -> None:
    rows = []
    for kind in kinds:
        changes: dict[str, Any] = {}
        if kind in FAULTY:
            changes = FAULTY[kind][0]
        elif kind:
            changes = {NORMALISED[kind][0]: NORMALISED[kind][1]}
        rows.append(ROW | changes)
    together = check(POPULATION, *rows)
    assert sorted([*together.origins] + [bad.origin_row for bad in together.bad]) == list(
        range(1, len(rows) + 1)
    )
    for number, row in enumerate(rows, 1):
        alone = check(POPULATION, row)
        at = [place for place, origin in enumerate(together.origins) if origin == number]
        assert [together.records()[place] for place in at] == alone.records()
        assert [(b.field, b.reason) for b in together.bad if b.origin_row == number] == [
            (b.field, b.reason) for b in alone.bad
        ]
        assert [(f.field, f.code) for f in together.findings if f.origin_row == number] == [
            (f.field, f.code) for f in alone.findings
        ]


def test_rows_that_came_broken_from_the_source_are_passed_on() -> None:
    checker = Checker(POPULATION, load_registers()["persons"], TODAY)
    broken = BadRow(1, None, "wrong-column-count", b"x")
    checked = checker.check(RawBatch([], [()] * len(POPULATION.columns), [], [broken], 1))
    assert (checked.bad, checked.records()) == ([broken], [])


LICENCES = """
source: licences
title: 证照
contact: 登记科
register: credentials
format: json-array
area: "440100"
columns:
  - {column: type, field: licence_type}
  - {column: number, field: licence_number}
  - {column: holder, field: holder_code, kind: uscc}
  - {column: name, field: holder_name}
  - {column: issuer, field: issuer_code, kind: uscc}
  - {column: day, field: issued_on, kind: date}
  - {column: state, field: state}
  - {column: address, field: address, kind: address, division_field: division}
"""


def test_the_division_of_an_address_is_kept_where_it_is_certain() -> None:
    mapping = parse_mapping("licences", LICENCES)
    row = {
        "type": "business-licence", "number": "99010120030001", "holder": COMPANY, "name": "光明",
        "issuer": COMPANY, "day": "2003-01-02", "state": "01",
    }  # fmt: skip
    written = ("天河区体育西路１号", "江苏省南京市鼓楼区", "广州市东山区", "郊区", "东湖路1号", "")
    checked = check(mapping, *({**row, "address": address} for address in written))
    assert checked.bad == []
    kept = [record.get("division") for record in checked.records()]
    assert kept == ["440106", "320106", "440104", None, None, None]
    assert [(f.origin_row, f.code) for f in checked.findings if f.field == "division"] == [
        (1, "derived-from-address"),
        (2, "derived-from-address"),
        (3, "derived-from-address"),
        (3, "abolished-division"),
        (4, "ambiguous-division"),
        (5, "unknown-division"),
    ]
    assert Finding(1, "address", "width-normalised") in checked.findings


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("kind: address, division_field", "division_field", "division_field belongs to kind address"),
        ("division_field: division", "division_field: nowhere", "has no field nowhere"),
        ('"440100"', '"447700"', "area: unknown division 447700"),
        ('"440100"', '"440106"', "area"),
    ],
)
def test_a_mapping_that_cannot_place_addresses_is_wrong(old: str, new: str, why: str) -> None:
    assert old in LICENCES
    with pytest.raises(SourceError, match=why):
        parse_mapping("licences", LICENCES.replace(old, new))


def test_a_constant_stands_in_each_row_as_if_a_column_said_it() -> None:
    columns = [column for column in POPULATION.columns if column.field != "status"]
    mapping = POPULATION.model_copy(update={"columns": columns, "constants": {"status": "resident"}})
    row = {column.column: ROW[column.column] for column in columns}
    checked = check(mapping, row, row | {"公民身份号码": "x"})
    assert [record["status"] for record in checked.records()] == ["resident"]
    assert [bad.reason for bad in checked.bad] == ["wrong-length"]
