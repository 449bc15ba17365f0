"""Comparisons by themselves: what is the same, what only looks so, and what is left unknown."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.catalog.resources import FieldUnknown, load_catalogue
from exchange.queries.claims import Asked, ClaimMalformed, read_claims
from exchange.queries.compare import age, compare, name_form, text_form
from exchange.queries.places import in_division
from foundation.identifiers import division

CATALOGUE = load_catalogue()
TODAY = date(2025, 11, 25)


def verdict(
    claim: Asked, values: dict[str, Any] | None, resource: str = "persons-basic", name: str = "name"
) -> str:
    claims = read_claims({name: claim}, CATALOGUE[resource])
    return compare(claims, values, TODAY)[name].value


@pytest.mark.parametrize(
    ("held", "claimed", "equal", "name_like"),
    [
        ("张三丰", "张三丰", True, True),
        ("张三丰", " 张三丰　", True, True),
        ("张三丰", "张 三丰", False, True),
        ("阿卜杜拉·买买提", "阿卜杜拉•买买提", True, True),
        ("阿卜杜拉·买买提", "阿卜杜拉・买买提", True, True),
        ("阿卜杜拉·买买提", "阿卜杜拉‧买买提", True, True),
        ("阿卜杜拉·买买提", "阿卜杜拉･买买提", True, True),
        ("阿卜杜拉·买买提", "阿卜杜拉 · 买买提", False, True),
        ("阿卜杜拉·买买提", "阿卜杜拉．买买提", False, True),
        ("阿卜杜拉·买买提", "阿卜杜拉买买提", False, False),
        ("JOHN SMITH", "John Smith", True, True),
        ("JOHN SMITH", "ＪＯＨＮ　ＳＭＩＴＨ", True, True),
        ("JOHN SMITH", "John  Smith", False, True),
        ("JOHN SMITH", "JohnSmith", False, False),
        ("方正", "⽅正", True, True),  # the radical, a compatibility form of the same character
        ("ADAM", "АDAM", False, False),  # its first letter is Cyrillic
        ("王0", "王O", False, False),
        ("范伟", "範伟", False, False),  # two surnames, though the one is the other's traditional form
        ("张三", "张\u200b三", False, False),
        ("己", "已", False, False),
    ],
)
def test_spellings_of_one_name_and_those_that_only_look_alike(
    held: str, claimed: str, equal: bool, name_like: bool
) -> None:
    assert verdict(claimed, {"name": held}) == ("match" if equal else "mismatch")
    found = verdict({"is": "name-like", "value": claimed}, {"name": held})
    assert found == ("match" if name_like else "mismatch")


@given(st.text(max_size=12))
def test_forms_are_stable_and_the_stricter_one_implies_the_laxer(text: str) -> None:
    form = text_form(text)
    assert text_form(unicodedata.normalize("NFD", text)) == text_form(unicodedata.normalize("NFC", text))
    assert name_form(text) == name_form(f" {text} ")
    assert name_form(name_form(text)) == name_form(text) or form.isascii() is False


@pytest.mark.parametrize(
    ("born", "day", "years"),
    [
        ("2000-03-01", "2018-02-28", 17),
        ("2000-03-01", "2018-03-01", 18),
        # Who was born on 29 February is a year older on 1 March of years that have no such day.
        ("2004-02-29", "2022-02-28", 17),
        ("2004-02-29", "2022-03-01", 18),
        ("2004-02-29", "2024-02-28", 19),
        ("2004-02-29", "2024-02-29", 20),
        ("1999-12-31", "2025-11-25", 25),
    ],
)
def test_a_year_is_complete_on_the_birthday(born: str, day: str, years: int) -> None:
    assert age(date.fromisoformat(born), date.fromisoformat(day)) == years


@given(st.dates(date(1900, 1, 1), date(2025, 1, 1)), st.integers(0, 40_000))
def test_ages_grow_by_one_each_year(born: date, days: int) -> None:
    later = date.fromordinal(born.toordinal() + days)
    following = date.fromordinal(later.toordinal() + 1)
    assert age(born, following) - age(born, later) in (0, 1)
    assert age(born, born.replace(month=12, day=31)) == 0


PERSON = {"name": "张三", "birth_date": "2007-11-26", "residence_division": "990102"}
COMPANY = {
    "name": "某公司",
    "established_on": "2010-05-06",
    "registered_capital_amount": "1000000",
    "registered_capital_currency": "CNY",
}


@pytest.mark.parametrize(
    ("claim", "changes", "expected"),
    [
        ({"is": "age-at-least", "value": 18}, {}, "mismatch"),
        ({"is": "age-at-least", "value": 18}, {"birth_date": "2007-11-25"}, "match"),
        ({"is": "age-below", "value": 18}, {}, "match"),
        ({"is": "age-below", "value": 18}, {"birth_date": "2007-11-25"}, "mismatch"),
        ({"is": "age-below", "value": 18}, {"birth_date": None}, "unknown"),
        ({"is": "in-division", "value": "9901"}, {}, "match"),
        ({"is": "in-division", "value": "990103"}, {}, "mismatch"),
        ({"is": "in-division", "field": "registration_division", "value": "99"}, {}, "unknown"),
        ({"is": "equal", "field": "birth_date", "value": "2007-11-26"}, {}, "match"),
        ({"is": "at-least", "field": "birth_date", "value": "2007-11-26"}, {}, "match"),
        ({"is": "at-most", "field": "birth_date", "value": "2007-11-25"}, {}, "mismatch"),
    ],
)
def test_comparisons_of_people(claim: dict[str, Any], changes: dict[str, Any], expected: str) -> None:
    assert verdict(claim, PERSON | changes) == expected
    assert verdict(claim, None) == "unknown"


@pytest.mark.parametrize(
    ("claim", "changes", "expected"),
    [
        ("1000000.00", {}, "match"),
        (1_000_000, {}, "match"),
        ("1000000.5", {}, "mismatch"),
        ({"is": "at-least", "value": "999999.99"}, {}, "match"),
        ({"is": "at-least", "value": 1_000_000}, {}, "match"),
        ({"is": "at-least", "value": "1000000.01"}, {}, "mismatch"),
        ({"is": "at-most", "value": "1000000"}, {}, "match"),
        ({"is": "at-most", "value": "0"}, {}, "mismatch"),
        # A million of what?
        ({"is": "at-least", "value": "1"}, {"registered_capital_currency": "USD"}, "unknown"),
        ({"is": "at-least", "value": "1"}, {"registered_capital_amount": None}, "unknown"),
        # Numbers, not texts: by text 9 were more than 1000000.
        ({"is": "at-least", "value": "9"}, {}, "match"),
    ],
)
def test_amounts(claim: Asked, changes: dict[str, Any], expected: str) -> None:
    found = verdict(claim, COMPANY | changes, "legal-entities-basic", "registered_capital_amount")
    assert found == expected


@pytest.mark.parametrize(
    ("begins", "ends", "day", "expected"),
    [
        ("2020-01-01", "2025-01-01", "2020-01-01", "match"),
        ("2020-01-01", "2025-01-01", "2025-01-01", "match"),
        ("2020-01-01", "2025-01-01", "2019-12-31", "mismatch"),
        ("2020-01-01", "2025-01-01", "2025-01-02", "mismatch"),
        ("2020-01-01", None, "2099-01-01", "match"),
        (None, "2025-01-01", "2024-01-01", "unknown"),
        (None, "2025-01-01", "2025-01-02", "mismatch"),
        (None, None, "2025-01-02", "unknown"),
    ],
)
def test_validity_on_a_day(begins: str | None, ends: str | None, day: str, expected: str) -> None:
    values = {"valid_from": begins, "valid_to": ends}
    assert verdict({"is": "valid-on", "value": day}, values, "credentials-basic", "valid") == expected


def test_each_comparison_names_the_fields_that_a_grant_must_cover() -> None:
    claims: dict[str, Asked] = {
        "name": "x",
        "of_age": {"is": "age-at-least", "value": 18},
        "here": {"is": "in-division", "field": "registration_division", "value": "99"},
        "drives": {"is": "licence-in-force", "value": "driving-licence"},
        "leads": {"is": "representative-of", "value": "91350100M000100Y43"},
        "clean": {"is": "no-entry", "value": "serious-breach-of-trust"},
    }
    needs = {claim.name: claim.needs for claim in read_claims(claims, CATALOGUE["persons-basic"])}
    assert needs == {
        "name": ("name",),
        "of_age": ("birth_date",),
        "here": ("registration_division",),
        "drives": ("licences",),
        "leads": ("represents",),
        "clean": ("entries",),
    }
    (valid,) = read_claims({"v": {"is": "valid-on", "value": "2025-01-01"}}, CATALOGUE["credentials-basic"])
    assert valid.needs == ("valid_from", "valid_to")


MALFORMED: list[tuple[str, Asked, str]] = [
    ("name", 5, "/claims/name"),
    ("name", True, "/claims/name"),
    ("birth_date", "2025-02-29", "/claims/birth_date"),
    ("birth_date", "20250228", "/claims/birth_date"),
    ("x", {"is": "sounds-like", "field": "name", "value": "y"}, "/claims/x/is"),
    ("x", {"is": "at-least", "field": "name", "value": "y"}, "/claims/x/is"),
    ("x", {"is": "name-like", "field": "birth_date", "value": "y"}, "/claims/x/is"),
    ("x", {"is": "age-at-least", "value": "18"}, "/claims/x"),
    ("x", {"is": "age-at-least", "value": True}, "/claims/x"),
    ("x", {"is": "age-at-least", "value": 151}, "/claims/x/value"),
    ("x", {"is": "age-at-least", "value": -1}, "/claims/x/value"),
    ("x", {"is": "age-at-least", "field": "address", "value": 18}, "/claims/x/is"),
    ("x", {"is": "in-division", "value": "99010"}, "/claims/x/value"),
    ("x", {"is": "in-division", "value": "९९"}, "/claims/x/value"),
    ("x", {"is": "licence-in-force", "field": "name", "value": "y"}, "/claims/x/field"),
    ("x", {"is": "licence-in-force", "value": "A b"}, "/claims/x/value"),
    ("x", {"is": "representative-of", "value": "91350100M000100Y44"}, "/claims/x/value"),
]


@pytest.mark.parametrize(("name", "claim", "pointer"), MALFORMED)
def test_what_cannot_be_compared_is_refused_with_its_place(name: str, claim: Asked, pointer: str) -> None:
    with pytest.raises(ClaimMalformed) as refused:
        read_claims({name: claim}, CATALOGUE["persons-basic"])
    assert refused.value.pointer == pointer


@pytest.mark.parametrize("amount", ["-1", "1e6", "1,000", "壹", "", "1.", "١"])
def test_amounts_are_plain_decimal_digits(amount: str) -> None:
    with pytest.raises(ClaimMalformed):
        read_claims({"registered_capital_amount": amount}, CATALOGUE["legal-entities-basic"])


def test_fields_that_are_not_there_are_unknown_by_name() -> None:
    for resource, claim in (
        ("persons-basic", {"is": "at-least", "field": "shoe_size", "value": 1}),
        ("persons-basic", {"is": "valid-on", "value": "2025-01-01"}),
        ("legal-entities-basic", {"is": "age-at-least", "value": 18}),
        # Entities do not represent entities.
        ("legal-entities-basic", {"is": "representative-of", "value": "91350100M000100Y43"}),
    ):
        with pytest.raises(FieldUnknown) as refused:
            read_claims({"x": claim}, CATALOGUE[resource])
        assert str(refused.value.pointer).startswith("/claims/x/")


def test_abolished_divisions_are_followed_as_far_as_they_are_certain() -> None:
    # 130124 went into 130108 and 130111 in 2014, both of 1301: into the first, which there was before, in part.
    assert in_division("130124", "1301", 2025) is True
    assert in_division("130124", "130124", 2025) is True
    assert in_division("130124", "130111", 2025) is None
    assert in_division("130124", "130102", 2025) is False
    # Who lives in what has taken over may live in the part that was another's before; where there is none, not.
    assert in_division("130108", "130124", 2025) is None
    assert in_division("130111", "130124", 2025) is True
    # A code of a whole city says no more than that.
    assert in_division("130100", "130102", 2025) is None
    assert in_division("130100", "13", 2025) is True
    assert in_division("130100", "140100", 2025) is False
    assert in_division("990102", "990100", 2025) is True


def test_a_division_that_was_only_renamed_is_the_same() -> None:
    renamed = [
        (before.code, code)
        for before in division.every()
        if before.valid_until is not None and before.level == "county" and len(before.successors) == 1
        for code in before.successors
        if not division.findings(code) and in_division(code, before.code, 2025)
    ]
    assert len(renamed) > 50
    for before, after in renamed:
        assert in_division(before, after, 2025) is True
