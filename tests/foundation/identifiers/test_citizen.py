"""Citizen IDs: the check character agrees with another's, and the number in clear comes out by `reveal` alone."""

from __future__ import annotations

import re
import traceback
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric
from stdnum.iso7064 import mod_11_2 as their_mod_11_2

from foundation.identifiers import (
    CitizenId,
    IdentifierError,
    contains_citizen_id,
    findings,
    mask,
    mask_citizen_ids,
)
from foundation.identifiers.iso7064 import mod_11_2

TEXT = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
WITH_X = next(
    text for n in range(99) if (text := CitizenId.compute("990121", date(2001, 5, 6), n).reveal())[-1] == "X"
)
FIFTEEN = "990101800229123"

divisions = st.integers(990100, 990121).map(str)
births = st.dates(date(1800, 1, 1), date(2199, 12, 31))
sequences = st.integers(0, 999)


@given(st.text("0123456789", min_size=1, max_size=40))
def test_the_check_character_of_any_digits_is_that_of_an_independent_implementation(digits: str) -> None:
    assert mod_11_2(digits) == their_mod_11_2.calc_check_digit(digits)


@given(divisions, births, sequences)
def test_an_id_is_made_of_its_parts_and_gives_them_back(division: str, birth: date, sequence: int) -> None:
    made = CitizenId.compute(division, birth, sequence)
    text = made.reveal()
    assert text[17] == ric.calc_check_digit(text)
    assert (made.division, made.birth_date, made.sequence) == (division, birth, sequence)
    assert made.sex == ("male" if sequence % 2 else "female")
    assert CitizenId.parse(text) == CitizenId.parse(text[:17] + text[17].lower()) == made


@given(divisions, births, sequences, st.integers(0, 17), st.integers(1, 9))
def test_any_single_wrong_digit_is_noticed(
    division: str, birth: date, sequence: int, place: int, shift: int
) -> None:
    text = CitizenId.compute(division, birth, sequence).reveal()
    wrong = str((10 if text[place] == "X" else int(text[place]) + shift) % 10)
    with pytest.raises(IdentifierError) as caught:
        CitizenId.parse(text[:place] + wrong + text[place + 1 :])
    assert caught.value.code in {"wrong-check-character", "impossible-birth-date"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "wrong-length"),
        (TEXT[:17], "wrong-length"),
        (TEXT + "0", "wrong-length"),
        (FIFTEEN, "wrong-length"),
        (TEXT[:17] + "Y", "ill-formed"),
        ("x" + TEXT[1:], "ill-formed"),
        (TEXT[:5] + "X" + TEXT[6:], "ill-formed"),
        (" " + TEXT[1:], "ill-formed"),
        (TEXT[:17] + "\n", "ill-formed"),
        (TEXT[:17] + "\0", "ill-formed"),
        (TEXT[:3] + "１" + TEXT[4:], "ill-formed"),  # full-width
        (TEXT[:3] + "١" + TEXT[4:], "ill-formed"),  # a digit to Python's int()
        ("ﬃ" + TEXT[1:17] + "x", "ill-formed"),  # grows when capitalised
        ("99010119810229123" + mod_11_2("99010119810229123"), "impossible-birth-date"),
        ("99010119001301123" + mod_11_2("99010119001301123"), "impossible-birth-date"),
        ("99010119000229123" + mod_11_2("99010119000229123"), "impossible-birth-date"),  # 1900 had none
        ("99010117991231123" + mod_11_2("99010117991231123"), "impossible-birth-date"),
        ("99010122000101123" + mod_11_2("99010122000101123"), "impossible-birth-date"),
        (TEXT[:17] + ("1" if TEXT[17] != "1" else "2"), "wrong-check-character"),
    ],
)
def test_what_is_no_citizen_id_is_refused_with_the_reason(text: str, code: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        CitizenId.parse(text)
    assert (caught.value.kind, caught.value.code) == ("citizen-id", code)


def test_a_number_knows_no_clock_so_a_birth_to_come_is_not_a_matter_of_its_form() -> None:
    born_late = CitizenId.compute("990101", date(2150, 1, 1), 1)
    assert born_late.birth_date == date(2150, 1, 1)


@pytest.mark.parametrize("code", ["330113", "330114"])
def test_divisions_that_a_common_validator_stumbles_over_are_in_force(code: str) -> None:
    made = CitizenId.compute(code, date(2022, 1, 1), 0)
    with pytest.raises(KeyError):
        ric.validate(made.reveal())
    assert CitizenId.parse(made.reveal()) == made
    assert findings(code, 2022) == ()
    assert findings(code, 2020) == ("not-yet-division",)


@pytest.mark.parametrize(
    ("division", "found"),
    [("990111", ("abolished-division",)), ("990119", ("unknown-division",)), ("990101", ())],
)
def test_a_division_that_is_no_more_or_unknown_is_a_finding_and_leaves_the_id_valid(
    division: str, found: tuple[str, ...]
) -> None:
    made = CitizenId.compute(division, date(1980, 1, 1), 1)
    assert CitizenId.parse(made.reveal()).division == division
    assert findings(division) == found


@given(divisions, st.dates(date(1900, 1, 1), date(1999, 12, 31)), sequences)
def test_fifteen_digits_become_the_eighteen_of_the_same_person(
    division: str, birth: date, sequence: int
) -> None:
    whole = CitizenId.compute(division, birth, sequence)
    assert CitizenId.from_fifteen(whole.reveal()[:6] + whole.reveal()[8:17]) == whole


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "wrong-length"),
        (TEXT, "wrong-length"),
        (FIFTEEN[:14] + "X", "ill-formed"),
        (FIFTEEN[:14] + "１", "ill-formed"),
        ("990101810229123", "impossible-birth-date"),
        ("990101801301123", "impossible-birth-date"),
    ],
)
def test_what_is_no_id_of_fifteen_digits_is_refused_with_the_reason(text: str, code: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        CitizenId.from_fifteen(text)
    assert caught.value.code == code


@pytest.mark.parametrize("sequence", [-1, 1000])
def test_a_sequence_number_has_three_digits(sequence: int) -> None:
    with pytest.raises(IdentifierError, match="three digits"):
        CitizenId.compute("990101", date(1980, 1, 1), sequence)


@given(divisions, births, sequences)
def test_every_way_to_show_an_id_but_reveal_masks_it(division: str, birth: date, sequence: int) -> None:
    made = CitizenId.compute(division, birth, sequence)
    text = made.reveal()
    shown = [str(made), repr(made), f"{made}", f"{made!a}", repr([made]), repr({"id": made})]
    for way in shown:
        assert text[6:14] not in way
        assert f"{text[:6]}********{text[14:]}" in way
    assert hash(made) == hash(CitizenId.parse(text))


@given(divisions, births, sequences, st.integers(0, 17), st.sampled_from("0123456789Xx \0一Aa"))
def test_no_refusal_repeats_the_number(
    division: str, birth: date, sequence: int, place: int, character: str
) -> None:
    text = CitizenId.compute(division, birth, sequence).reveal()
    damaged = text[:place] + character + text[place + 1 :]
    for read, value in (
        (CitizenId.parse, damaged),
        (CitizenId.parse, damaged + "0"),
        (CitizenId.from_fifteen, damaged[:15]),
    ):
        try:
            read(value)
        except IdentifierError as error:
            said = "".join(traceback.format_exception_only(error)) + repr(error) + repr(error.args)
            assert not any(run in said for run in re.findall("[0-9]{4,}", value))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (TEXT, f"990101********{TEXT[14:]}"),
        (FIFTEEN, "990101*****9123"),
        ("12345678901", "***********"),
        ("", ""),
    ],
)
def test_a_mask_keeps_the_division_and_the_last_four(text: str, masked: str) -> None:
    assert mask(text) == masked


OLD_KNOWN = FIFTEEN
OLD_UNKNOWN_DIVISION = "990119800229123"
BAD_CHECK = TEXT[:17] + ("1" if TEXT[17] != "1" else "2")
BAD_DATE = "99010119801301123" + mod_11_2("99010119801301123")


@pytest.mark.parametrize("identifier", [TEXT, WITH_X, WITH_X.lower(), OLD_KNOWN])
@pytest.mark.parametrize(
    "frame",
    [
        "{}",
        "公民身份号码{}，姓名张三",
        "id{}end",
        "X{}X",
        '{{"subject":"{}","n":1}}',
        "GET /persons/{}?x=1",
        "{}\n",
        "１{}１",  # full-width digits are no part of it
        "a.{}.b",
    ],
)
def test_an_id_is_found_in_running_text_and_masked_there(identifier: str, frame: str) -> None:
    text = frame.format(identifier)
    assert contains_citizen_id(text)
    assert mask_citizen_ids(text) == frame.format(mask(identifier))


@pytest.mark.parametrize(
    "text",
    [
        BAD_CHECK,
        BAD_DATE,
        TEXT + "0",
        "1" + TEXT,
        TEXT[:17],
        OLD_UNKNOWN_DIVISION,
        "20250101120000123",
        "",
        "无",
    ],
)
def test_numbers_that_cannot_be_an_id_stay_as_they_are(text: str) -> None:
    assert not contains_citizen_id(text)
    assert mask_citizen_ids(f"订单 {text} 已付") == f"订单 {text} 已付"


@given(
    st.lists(
        st.one_of(
            st.just(TEXT), st.just(WITH_X), st.just(BAD_CHECK), st.text(max_size=5), st.text("0123456789Xx")
        ),
        max_size=6,
    ).map(" ".join)
)
def test_what_was_masked_holds_no_id_and_the_rest_is_untouched(text: str) -> None:
    masked = mask_citizen_ids(text)
    assert not contains_citizen_id(masked)
    assert (masked == text) is not contains_citizen_id(text)
    assert all(new in (old, "*") for new, old in zip(masked, text, strict=True))
