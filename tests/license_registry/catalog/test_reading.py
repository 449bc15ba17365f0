"""Folders of licence types: read whole, refused with file and place, and kept apart by version."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from license_registry.catalog.rules import NumberInvalid, ValidityInvalid
from license_registry.catalog.types import (
    LicenceTypeBroken,
    LicenceTypeUnknown,
    load_types,
    read_type,
    type_of,
    type_of_credential,
)
from license_registry.lifecycle.states import State

SHIPPED = Path(str(resources.files("schemas"))) / "licence_types"
TYPES = load_types()
TWELVE = {
    "birth-certificate", "business-licence", "construction-permit", "disability-certificate", "driving-licence",
    "food-permit", "marriage-certificate", "practising-physician", "property-certificate", "social-security-card",
    "teacher-qualification", "vehicle-licence",
}  # fmt: skip


def copied(tmp_path: Path, type_id: str = "food-permit", version: int = 1, **changes: Any) -> Path:
    """A folder of types with one version of one, its `type.json` changed."""
    folder = tmp_path / type_id / str(version)
    shutil.copytree(SHIPPED / type_id / "1", folder)
    change(folder / "type.json", **{"version": version, **changes})
    return folder


def change(path: Path, **changes: Any) -> None:
    told = json.loads(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        *above, last = name.split("__")
        place = told
        for step in above:
            place = place[step]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    path.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")


def test_twelve_types_come_along() -> None:
    assert set(TYPES) == TWELVE
    assert {each.holder_code_type for each in TYPES.values()} == {"001", "111"}
    assert TYPES["marriage-certificate"].holders.fewest == TYPES["marriage-certificate"].holders.most == 2
    assert TYPES["property-certificate"].holders.most == 20


@pytest.mark.parametrize("name", sorted(TWELVE))
def test_every_field_has_two_titles_and_says_how_sure_it_is(name: str) -> None:
    for field in TYPES[name].schema["properties"].values():
        assert any("\u4e00" <= character <= "\u9fff" for character in field["title"])
        assert field["x-title-en"].isascii()
        assert field["x-confidence"] in {"certain", "likely", "guess", "unknown"}


@pytest.mark.parametrize("name", sorted(TWELVE))
def test_a_type_names_its_states_and_operations(name: str) -> None:
    found = TYPES[name]
    assert State.VALID in found.states
    assert "01" in found.operations
    # A state that an operation leads to must be one of the type's: suspended by 03, expired by 04.
    assert ("03" in found.operations) == (State.SUSPENDED in found.states) or name == "disability-certificate"
    assert ("06" in found.operations) <= ("03" in found.operations)


def test_a_placeholder_can_be_told_from_a_code_in_use() -> None:
    for found in TYPES.values():
        placeholder = found.type_code.startswith("Z" * 18)
        assert placeholder == (found.type_code_confidence == "unknown")


def test_codes_are_those_that_were_seen(shared: Callable[[str], Path]) -> None:
    with shared("licence-type-codes-seen.csv").open(encoding="utf-8", newline="") as file:
        seen = {row["type_code"]: row for row in csv.DictReader(file)}
    for found in TYPES.values():
        if found.type_code_confidence != "unknown":
            row = seen[found.type_code]
            assert row["confidence"] == found.type_code_confidence
            assert found.name.removeprefix("不动产").strip("书") in row["name"] or found.name in row["name"]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"type_code__value": "111"}, "food-permit/1/type.json /type_code/value"),
        ({"type_code__confidence": "sure"}, "food-permit/1/type.json /type_code/confidence"),
        ({"on_change__death": "forget"}, "food-permit/1/type.json /on_change/death"),
        ({"on_change__name": ...}, "food-permit/1/type.json /on_change"),
        ({"colour": "red"}, "food-permit/1/type.json"),
        ({"validity": {"kind": "fixed-term"}}, "food-permit/1/type.json /validity"),
        ({"number__pattern": "("}, "food-permit/1/type.json /number/pattern"),
        ({"number__template": "JY{serial}"}, "food-permit/1/type.json /number/template"),
        ({"id": "other"}, "food-permit/1/type.json /id"),
        ({"holders__most": 2}, "food-permit/1/type.json /holders/most"),
        ({"holders__fewest": 2}, "food-permit/1/type.json /holders/fewest"),
        ({"holders__code_type": "111"}, "food-permit/1/schema.json /properties/holder_code"),
        ({"states": {"08": {"name": "x", "name_en": "x"}}}, "food-permit/1/type.json /states"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_place(
    tmp_path: Path, changes: dict[str, Any], place: str
) -> None:
    with pytest.raises(LicenceTypeBroken) as refused:
        read_type(copied(tmp_path, **changes))
    assert str(refused.value).startswith(f"licence type {place}")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"properties__address__title": ...}, "/properties/address"),
        ({"properties__address__x-title-en": ...}, "/properties/address"),
        ({"properties__address__x-disclosure": "sometimes"}, "/properties/address/x-disclosure"),
        ({"properties__representative_name__x-disclosure": "always"}, "/properties/representative_name"),
        ({"properties__address__type": "text"}, "/properties/address/type"),
        ({"properties__vct": {"title": "类", "x-title-en": "t"}}, "/properties"),
        ({"required": ["holder_name"]}, "/required"),
        ({"required": ["holder_name", "holder_code", "shoe_size"]}, "/required"),
        ({"additionalProperties": True}, "/additionalProperties"),
    ],
)
def test_a_schema_that_does_not_fit_is_told_with_its_place(
    tmp_path: Path, changes: dict[str, Any], place: str
) -> None:
    folder = copied(tmp_path)
    change(folder / "schema.json", **changes)
    with pytest.raises(LicenceTypeBroken) as refused:
        read_type(folder)
    assert str(refused.value).startswith(f"licence type food-permit/1/schema.json {place}")


@pytest.mark.parametrize(
    ("name", "content"), [("type.json", None), ("schema.json", "[]"), ("type.json", "{")]
)
def test_a_file_that_is_none_is_told(tmp_path: Path, name: str, content: str | None) -> None:
    path = copied(tmp_path) / name
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(LicenceTypeBroken, match=f"food-permit/1/{name}"):
        read_type(path.parent)


def test_a_city_adds_types_and_versions_and_replaces_nothing(tmp_path: Path) -> None:
    copied(
        tmp_path,
        version=2,
        vct="urn:zhengtong:licence:food-permit:2",
        type_code__value="11100000MB0143028R0Z9",
    )
    types = load_types(tmp_path)
    newest = types["food-permit"]
    assert (newest.version, [each.version for each in newest.older]) == (2, [1])
    old = TYPES["food-permit"]
    assert type_of(types, old.type_code, 1).vct == type_of_credential(types, old.vct).vct == old.vct
    assert type_of(types, newest.type_code, 2) is newest
    with pytest.raises(LicenceTypeUnknown):
        type_of(types, newest.type_code, 1)
    with pytest.raises(LicenceTypeUnknown):
        type_of_credential(types, "urn:zhengtong:licence:food-permit:3")

    copied(tmp_path, version=1)
    with pytest.raises(LicenceTypeBroken, match="food-permit/1: this version is there already"):
        load_types(tmp_path)


@pytest.mark.parametrize("version", [2])
def test_two_versions_or_types_that_say_the_same_of_themselves_are_refused(
    tmp_path: Path, version: int
) -> None:
    copied(tmp_path / "same", version=version)
    with pytest.raises(LicenceTypeBroken, match="an earlier version has the same"):
        load_types(tmp_path / "same")
    other = tmp_path / "other" / "snack-permit" / "1"
    shutil.copytree(SHIPPED / "food-permit" / "1", other)
    change(other / "type.json", id="snack-permit")
    with pytest.raises(LicenceTypeBroken, match="is of food-permit too"):
        load_types(tmp_path / "other")


BORN = date(2008, 2, 29)


@pytest.mark.parametrize(
    ("rule", "since", "wanted", "until"),
    [
        ({"kind": "decided"}, date(2025, 1, 1), date(2026, 6, 30), date(2026, 6, 30)),
        ({"kind": "decided"}, date(2025, 1, 1), None, None),
        ({"kind": "unlimited"}, date(2025, 1, 1), None, None),
        ({"kind": "unlimited"}, date(2025, 1, 1), date(2026, 1, 1), ValidityInvalid),
        ({"kind": "fixed-term", "years": [5]}, date(2025, 1, 1), None, date(2029, 12, 31)),
        ({"kind": "fixed-term", "years": [5]}, date(2025, 1, 1), date(2030, 1, 1), date(2030, 1, 1)),
        ({"kind": "fixed-term", "years": [5]}, date(2025, 1, 1), date(2030, 1, 2), ValidityInvalid),
        ({"kind": "fixed-term", "years": [1]}, date(2024, 2, 29), None, date(2025, 2, 28)),
        ({"kind": "fixed-term", "years": [6, 10]}, date(2025, 1, 1), None, ValidityInvalid),
        ({"kind": "fixed-term", "years": [6, 10]}, date(2025, 1, 1), date(2034, 12, 31), date(2034, 12, 31)),
        ({"kind": "fixed-term", "years": [6], "or_unlimited": True}, date(2025, 1, 1), None, None),
        ({"kind": "until-age", "age": 18}, date(2025, 1, 1), None, date(2026, 2, 28)),
        ({"kind": "until-age", "age": 18}, date(2025, 1, 1), date(2027, 1, 1), ValidityInvalid),
        ({"kind": "until-age", "age": 16}, date(2025, 1, 1), None, ValidityInvalid),
    ],
)
def test_a_rule_of_validity_says_the_last_day(
    tmp_path: Path,
    rule: dict[str, Any],
    since: date,
    wanted: date | None,
    until: date | type[Exception] | None,
) -> None:
    validity = read_type(copied(tmp_path, validity=rule)).validity
    if isinstance(until, type):
        with pytest.raises(until):
            validity.until(since, wanted, BORN)
    else:
        assert validity.until(since, wanted, BORN) == until


def test_an_age_needs_a_birthday(tmp_path: Path) -> None:
    validity = read_type(copied(tmp_path, validity={"kind": "until-age", "age": 18})).validity
    with pytest.raises(ValidityInvalid):
        validity.until(date(2025, 1, 1), None, None)


@pytest.mark.parametrize(
    ("type_id", "number"),
    [
        ("food-permit", "JY19901010000012"),
        ("marriage-certificate", "J990101-2025-000123"),
        ("birth-certificate", "T990000001"),
        ("property-certificate", "示(2025)东湖区不动产权第0000123号"),
        ("driving-licence", "990100012345"),
    ],
)
def test_a_number_fits_its_type_and_no_other(type_id: str, number: str) -> None:
    TYPES[type_id].number.require_fits(number)
    for other in ("food-permit", "marriage-certificate", "birth-certificate", "property-certificate"):
        if other != type_id:
            with pytest.raises(NumberInvalid):
                TYPES[other].number.require_fits(number)


def test_a_template_makes_numbers_and_without_one_the_authority_brings_them() -> None:
    made = TYPES["disability-certificate"].number.make("990100", 2025, 7)
    assert made == "CJ99010020250000000007"
    with pytest.raises(NumberInvalid):
        TYPES["food-permit"].number.make("990100", 2025, 7)
