"""Unified social credit codes: the check character agrees with another's, also on every code of real registers."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import uscc as theirs
from stdnum.exceptions import InvalidFormat
from stdnum.iso7064 import mod_11_10 as their_mod_11_10

from foundation.identifiers import (
    IdentifierError,
    Uscc,
    findings,
    is_old_registration_number,
    registration_number_checks,
)
from foundation.identifiers.bulk import UsccVerdict, check_usccs
from foundation.identifiers.uscc import ALPHABET

FIRST = "11990100MB2A00001"
TEXT = Uscc.compute(FIRST).text

bodies = st.text(ALPHABET, min_size=17, max_size=17)


@given(bodies)
def test_the_check_character_of_any_body_is_that_of_an_independent_implementation(body: str) -> None:
    made = Uscc.compute(body)
    assert made.text == body + theirs.calc_check_digit(body)
    assert Uscc.parse(made.text) == made
    assert (str(made), made.division) == (made.text, body[2:8])


@given(bodies, st.integers(0, 17), st.integers(1, 30))
def test_any_single_wrong_character_is_noticed(body: str, place: int, shift: int) -> None:
    text = Uscc.compute(body).text
    wrong = ALPHABET[(ALPHABET.index(text[place]) + shift) % 31]
    with pytest.raises(IdentifierError) as caught:
        Uscc.parse(text[:place] + wrong + text[place + 1 :])
    assert (caught.value.kind, caught.value.code) == ("uscc", "wrong-check-character")


@pytest.mark.parametrize("prefix", ["N", "A", "Y"])
def test_a_letter_in_front_is_right_though_a_common_validator_says_otherwise(prefix: str) -> None:
    made = Uscc.compute(prefix + FIRST[1:])
    with pytest.raises(InvalidFormat):
        theirs.validate(made.text)
    assert Uscc.parse(made.text) == made
    assert check_usccs([made.text]).tolist() == [UsccVerdict.OK]


def test_a_letter_among_the_division_digits_is_a_finding_and_leaves_the_code_valid() -> None:
    made = Uscc.compute("91A90100MB2A00001")
    assert Uscc.parse(made.text) == made
    assert findings(made.division) == ("unknown-division",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "wrong-length"),
        (TEXT[:17], "wrong-length"),
        (TEXT + "0", "wrong-length"),
        ("440000123456789", "wrong-length"),
        *((TEXT[:9] + letter + TEXT[10:], "ill-formed") for letter in "IOSVZ"),
        (TEXT.lower(), "ill-formed"),
        (TEXT[:17] + "\n", "ill-formed"),
        (TEXT[:17] + "\0", "ill-formed"),
        ("１" + TEXT[1:], "ill-formed"),
        (TEXT[:17] + ("0" if TEXT[17] != "0" else "1"), "wrong-check-character"),
    ],
)
def test_what_is_no_code_is_refused_with_the_reason(text: str, code: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        Uscc.parse(text)
    assert caught.value.code == code


@pytest.mark.parametrize("first17", ["", FIRST[:16], FIRST + "1", FIRST[:16] + "I", FIRST.lower()])
def test_a_code_is_made_of_seventeen_characters_of_the_alphabet_only(first17: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        Uscc.compute(first17)
    assert caught.value.code == "ill-formed"


@given(st.text("0123456789", min_size=14, max_size=14))
def test_old_registration_numbers_carry_the_check_digit_of_an_independent_implementation(first: str) -> None:
    right = first + their_mod_11_10.calc_check_digit(first)
    assert registration_number_checks(right)
    assert not registration_number_checks(first + str((int(right[14]) + 1) % 10))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("1" * 12, False),
        ("1" * 13, True),
        ("1" * 15, True),
        ("1" * 16, False),
        ("1" * 14 + "A", False),
        ("１" * 15, False),
        ("", False),
    ],
)
def test_thirteen_to_fifteen_digits_are_an_old_registration_number(text: str, is_one: bool) -> None:
    assert is_old_registration_number(text) is is_one
    assert (check_usccs([text]).tolist() == [UsccVerdict.OLD_REGISTRATION_NUMBER]) is is_one


CODE = 1


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))[1:]


def verdicts_of(codes: list[str]) -> Counter[str]:
    return Counter(UsccVerdict(verdict).name for verdict in check_usccs(codes).tolist())


def test_a_real_register_with_shifted_columns_shows_just_the_faults_that_were_counted_in_it(
    shared: Callable[[str], Path],
) -> None:
    rows = rows_of(shared("enterprises/guangdong-2002.csv"))
    assert len(rows) == 4698
    assert verdicts_of([row[CODE] for row in rows]) == {"OK": 4649, "WRONG_LENGTH": 47, "ILL_FORMED": 2}
    whole = [row for row in rows if len(row) == 10]
    assert len(rows) - len(whole) == 7
    assert verdicts_of([row[CODE] for row in whole]) == {"OK": 4649, "WRONG_LENGTH": 40, "ILL_FORMED": 2}
    # None is an old registration number: the name was split in two, and the true code stands one column later.
    shifted = [row for row in rows if check_usccs([row[CODE]])[0] != UsccVerdict.OK]
    assert verdicts_of([row[CODE + 1] for row in shifted]) == {"OK": 49}


@pytest.mark.parametrize(
    ("name", "count", "small_letters"),
    [("enterprises/heilongjiang-2003.csv", 2697, 2), ("enterprises/heilongjiang-2004.csv", 4626, 3)],
)
def test_a_real_register_is_clean_once_its_few_small_letters_are_capitals(
    shared: Callable[[str], Path], name: str, count: int, small_letters: int
) -> None:
    codes = [row[CODE] for row in rows_of(shared(name))]
    assert verdicts_of(codes) == {"OK": count - small_letters, "ILL_FORMED": small_letters}
    assert verdicts_of([code.upper() for code in codes]) == {"OK": count}


def test_every_code_of_a_real_register_gets_the_verdict_of_an_independent_implementation(
    shared: Callable[[str], Path],
) -> None:
    codes = [row[CODE] for row in rows_of(shared("enterprises/guangdong-2002.csv"))]
    ours = [verdict == UsccVerdict.OK for verdict in check_usccs(codes).tolist()]
    assert ours == [theirs.is_valid(code) for code in codes]
