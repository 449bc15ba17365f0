"""Mapping files: the shipped ones fit their registers, a wrong one is told with the place."""

from __future__ import annotations

import pytest

from connectors.mapping import load_mapping, mapping_names, parse_mapping
from connectors.sources.raw import SourceError
from exchange.registers.schemas import load_registers

GOOD = """
source: licences
title: 证照
contact: 登记科
register: credentials
format: json-array
compare:
  - {register: persons, key: representative_id, fields: {representative_name: name}}
columns:
  - {column: type, field: licence_type}
  - {column: number, field: licence_number}
  - {column: holder, field: holder_code, kind: uscc}
  - {column: name, field: holder_name}
  - {column: representative, field: representative_name}
  - {column: representative_id, field: representative_id, kind: citizen-id}
  - {column: issuer, field: issuer_code, kind: uscc}
  - {column: day, field: issued_on, kind: date}
  - {column: state, field: state, kind: dictionary, dictionary: {有效: "01"}}
"""


@pytest.mark.parametrize("name", mapping_names())
def test_every_shipped_mapping_fits_its_register(name: str) -> None:
    mapping = load_mapping(name)
    register = load_registers()[mapping.register_name]
    assert mapping.source == name
    fields = [column.field for column in mapping.columns]
    assert set(register.schema["required"]) <= set(fields) <= set(register.fields)
    assert {"title", "contact"} <= mapping.model_fields_set


def test_the_shipped_mappings_are_those_expected() -> None:
    assert mapping_names() == ["company-registrations", "credentials", "legal-entities", "population"]


def test_an_unknown_source_names_the_known_ones() -> None:
    with pytest.raises(
        SourceError, match="no source popullation; known are company-registrations, credentials"
    ):
        load_mapping("popullation")


@pytest.mark.parametrize("name", ["../mapping", "population.yaml", "", "POPULATION", "x" * 10_000])
def test_a_source_is_a_name_and_no_path(name: str) -> None:
    with pytest.raises(SourceError, match="no source") as caught:
        load_mapping(name)
    assert len(str(caught.value)) < 200


def test_the_example_is_good() -> None:
    assert parse_mapping("licences", GOOD).columns[-1].dictionary == {"有效": "01"}


WRONG: dict[str, tuple[str, str, str]] = {
    "unknown kind": ("kind: date", "kind: day", r"columns\.7\.kind: Input should be 'text', 'date'"),
    "unknown member": ("contact:", "owner: x\ncontact:", "owner: Extra inputs are not permitted"),
    "unknown member of a column": ("kind: date", "type: date", r"columns\.7\.type: Extra inputs"),
    "missing member": ("contact: 登记科\n", "", "contact: Field required"),
    "missing member of a column": ("column: day, ", "", r"columns\.7\.column: Field required"),
    "unknown field": ("field: issued_on", "field: issued", r"columns\.7: credentials has no field issued"),
    "unknown register": ("register: credentials", "register: licences", "register: unknown licences"),
    "required field": ("  - {column: day, field: issued_on, kind: date}\n", "", "required field issued_on"),
    "field twice": ("field: state,", "field: issuer_code,", "issuer_code stands there 2 times"),
    "column twice": ("column: day,", "column: type,", "type stands there 2 times"),
    "dictionary missing": (', dictionary: {有效: "01"}', "", r"columns\.8: a dictionary belongs to kind"),
    "dictionary of another kind": (
        "kind: date",
        "kind: date, dictionary: {a: b}",
        r"columns\.7: a dictionary",
    ),
    "old number of another kind": (
        "kind: date",
        "kind: date, old_number_field: division",
        r"columns\.7: old_n",
    ),
    "unknown old number": (
        "field: issuer_code, kind: uscc",
        "field: issuer_code, kind: uscc, old_number_field: former",
        r"columns\.6: credentials has no field former",
    ),
    "unknown format": ("json-array", "parquet", "format: Input should be 'delimited', 'json-array'"),
    "records without an origin": ("json-array", "records", "format: records belongs to an origin"),
    "an origin of records, but files": (
        "compare:",
        "origin: {kind: sql, connection: a, table: t, key: id}\ncompare:",
        "format: records belongs to an origin",
    ),
    "an unknown origin": (
        "compare:",
        "origin: {kind: ftp, connection: a}\ncompare:",
        "origin: Input tag 'ftp' found",
    ),
    "a password in a mapping": (
        "compare:",
        "origin: {kind: sftp, connection: a, password: x}\ncompare:",
        r"origin\.sftp\.password: Extra inputs are not permitted",
    ),
    "an address for a connection": (
        "compare:",
        "origin: {kind: sftp, connection: 'sftp://u:p@h'}\ncompare:",
        r"origin\.sftp\.connection: String should match",
    ),
    "unsafe encoding": (
        "json-array",
        "delimited\nencoding: utf-16",
        "encoding: Input should be 'utf-8', 'gb18030'",
    ),
    "long delimiter": ("json-array", "delimited\ndelimiter: '||'", "delimiter: String should match"),
    "compared register": ("register: persons", "register: people", r"compare\.0: unknown register people"),
    "compared key": ("key: representative_id", "key: holder", r"compare\.0: no column for holder"),
    "compared field of ours": ("{representative_name:", "{name:", r"compare\.0: no column for name"),
    "compared field of theirs": ("_name: name", "_name: called", r"compare\.0: persons has no field called"),
    "birth date of nothing": (
        "compare:",
        "birth_date_of: [a, b]\ncompare:",
        "birth_date_of: no column for a",
    ),
    "not YAML": ("compare:", "compare: [", "line "),
    "no mapping at all": (GOOD, "- 1", "Input should be a valid dictionary"),
    "a date where a text belongs": (
        "title: 证照",
        "title: 2020-01-01",
        "title: Input should be a valid string",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_mapping_is_one_line_with_the_place(kind: str) -> None:
    before, after, message = WRONG[kind]
    assert GOOD.count(before) == 1 or before == "kind: date"
    with pytest.raises(SourceError, match=rf"the mapping of licences is wrong: .*{message}") as caught:
        parse_mapping("licences", GOOD.replace(before, after))
    assert "\n" not in str(caught.value)


RANGED = GOOD.replace(
    "format: json-array",
    "format: records\norigin: {kind: sql, connection: a, table: t, key: number, ranges: 4}",
)
NOT_RANGED: dict[str, tuple[str, str, str]] = {
    "a cursor": ("ranges: 4}", "ranges: 4, cursor: {kind: sequence, column: n}}", "a source with a cursor"),
    "gates": ("compare:", "gates: {rows_at_least: 1}\ncompare:", "gates judge the whole source"),
    "a snapshot": ("compare:", "snapshot: {ended_share: 0.1}\ncompare:", "whom a snapshot no longer names"),
    "a key of no column": (
        "key: number",
        "key: id",
        "the column id would have to go into the field licence_type or",
    ),
    "a key that names nobody": (
        "key: number",
        "key: holder",
        "into the field licence_type or licence_number",
    ),
    "a key that becomes another": (
        "field: licence_number",
        "field: licence_number, kind: dictionary, dictionary: {a: b, c: b}",
        "number cannot be of kind dictionary",
    ),
}


def test_a_table_is_ranged_by_the_column_that_names_its_subjects() -> None:
    column = parse_mapping("licences", RANGED).ranged_column
    assert column is not None and column.field == "licence_number"
    assert parse_mapping("licences", RANGED.replace("ranges: 4", "ranges: 1")).ranged_column is None


@pytest.mark.parametrize("kind", NOT_RANGED)
def test_what_judges_the_whole_source_cannot_be_ranged(kind: str) -> None:
    before, after, message = NOT_RANGED[kind]
    assert before in RANGED
    with pytest.raises(SourceError, match=message):
        parse_mapping("licences", RANGED.replace(before, after))


@pytest.mark.parametrize(
    ("constants", "told"),
    [
        ("{state: '01'}", "state stands there 2 times"),
        ("{holder_code_type: '001', colour: red}", "constants: credentials has no field colour"),
        ("{issued_on: yesterday}", "constants: 'yesterday' is no value of issued_on"),
    ],
)
def test_a_constant_is_a_value_of_a_field_that_no_column_has(constants: str, told: str) -> None:
    with pytest.raises(SourceError) as refused:
        parse_mapping("licences", f"{GOOD}constants: {constants}\n")
    assert told in str(refused.value)


def test_licences_are_issued_for_credentials_only() -> None:
    assert parse_mapping("licences", f"{GOOD}issued_by: market\n").issued_by == "market"
    other = GOOD.replace("register: credentials", "register: legal_entities")
    with pytest.raises(SourceError, match="issued_by: licences are issued for credentials"):
        parse_mapping("licences", f"{other}issued_by: market\n")
