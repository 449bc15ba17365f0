"""A draft from the header of a sample: fields found by name, kinds and dictionaries known, the rest left to a person."""

from __future__ import annotations

import pytest
import yaml

from connectors.mapping import load_mapping, mapping_names, parse_mapping
from connectors.mapping.draft import draft_mapping
from connectors.sources.raw import SourceError

LAYOUT = {"format": "delimited", "encoding": "gb18030", "delimiter": ","}
CENSUS = [
    "身份证号码",
    "姓 名",
    "性别（男/女）",
    "出生年月日",
    "婚姻状况",
    "现住址(详细)",
    "人员状态",
    "备注",
]


def test_columns_find_their_fields_by_title_synonym_and_remark() -> None:
    draft = draft_mapping("census", CENSUS, LAYOUT)
    found = yaml.safe_load(draft.text)
    assert {column["column"]: column["field"] for column in found["columns"]} == {
        "身份证号码": "citizen_id",
        "姓 名": "name",
        "性别（男/女）": "sex",
        "出生年月日": "birth_date",
        "婚姻状况": "marital_status",
        "现住址(详细)": "address",
        "人员状态": "status",
    }
    assert (draft.register, draft.unmatched, draft.missing) == ("persons", ("备注",), ())
    assert "备注" in draft.text


def test_kinds_and_dictionaries_come_along() -> None:
    columns = {c["field"]: c for c in yaml.safe_load(draft_mapping("census", CENSUS, LAYOUT).text)["columns"]}
    assert columns["citizen_id"]["kind"] == "citizen-id"
    assert columns["birth_date"]["kind"] == "date"
    assert columns["sex"]["dictionary"] == {"男": "male", "女": "female"}


@pytest.mark.parametrize("source", ["population", "legal-entities", "credentials"])
def test_the_header_of_a_shipped_source_gives_a_mapping_that_is_whole(source: str) -> None:
    shipped = load_mapping(source)
    header = [column.column for column in shipped.columns]
    draft = draft_mapping(source, header, LAYOUT, shipped.register_name)
    mapping = parse_mapping(source, draft.text)
    assert draft.unmatched == draft.missing == ()
    assert {(c.column, c.field, c.kind) for c in mapping.columns} == {
        (c.column, c.field, c.kind) for c in shipped.columns
    }


def test_what_the_register_needs_and_no_column_gives_is_named() -> None:
    draft = draft_mapping("names", ["姓名", "地址"], LAYOUT, "persons")
    assert draft.missing == ("citizen_id", "status")
    assert "citizen_id (公民身份号码)" in draft.text
    with pytest.raises(SourceError, match="citizen_id"):
        parse_mapping("names", draft.text)


@pytest.mark.parametrize(("header", "register"), [(["甲", "乙"], None), ([], None), (["姓名"], "weather")])
def test_what_cannot_be_drafted_is_refused(header: list[str], register: str | None) -> None:
    with pytest.raises(SourceError):
        draft_mapping("x", header, LAYOUT, register)


def test_a_column_of_another_name_is_read_from_a_name_with_quotes_and_colons() -> None:
    draft = draft_mapping("odd", ['姓名: "全"', "身份证号"], LAYOUT, "persons")
    assert {c["column"] for c in yaml.safe_load(draft.text)["columns"]} == {'姓名: "全"', "身份证号"}


def test_synonyms_name_fields_that_exist() -> None:
    from importlib import resources

    from exchange.registers.schemas import load_registers

    text = (resources.files("connectors.mapping") / "synonyms.yaml").read_text(encoding="utf-8")
    for register, fields in yaml.safe_load(text).items():
        assert set(fields) <= set(load_registers()[register].fields)


def test_a_city_has_mappings_of_its_own(tmp_path) -> None:  # type: ignore[no-untyped-def]
    draft = draft_mapping("census", CENSUS, LAYOUT).text + "ignore: [备注]\n"
    (tmp_path / "census.yaml").write_text(draft, encoding="utf-8")
    (tmp_path / "population.yaml").write_text(
        draft.replace("source: census", "source: population"), encoding="utf-8"
    )
    assert "census" in mapping_names(tmp_path)
    assert "census" not in mapping_names()
    assert load_mapping("census", tmp_path).ignore == ["备注"]
    assert load_mapping("population", tmp_path).columns != load_mapping("population").columns
    with pytest.raises(SourceError, match="census"):
        load_mapping("absent", tmp_path)


def test_other_names_that_a_known_source_has_do_not_come_along() -> None:
    mapping = parse_mapping("companies", draft_mapping("companies", ["code", "name"], LAYOUT).text)
    assert [(column.column, column.also) for column in mapping.columns] == [("code", []), ("name", [])]


def test_for_what_no_column_says_a_constant_is_proposed() -> None:
    draft = draft_mapping("census", CENSUS[:-2], LAYOUT)
    assert draft.missing == ("status",)
    assert "constants: {status: resident | moved-out | dead}" in draft.text
    mapping = parse_mapping("census", f"{draft.text}constants: {{status: resident}}\n")
    assert mapping.constants == {"status": "resident"}
