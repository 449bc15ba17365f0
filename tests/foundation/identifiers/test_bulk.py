"""Whole columns at once give, value by value, what the parsers of one value say."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from foundation.identifiers import CitizenId, IdentifierError, Uscc, bulk, is_old_registration_number
from foundation.identifiers.bulk import (
    UsccVerdict,
    Verdict,
    check_citizen_ids,
    check_usccs,
    citizen_check_characters,
)
from foundation.identifiers.iso7064 import mod_11_2
from foundation.identifiers.uscc import ALPHABET

VERDICTS = {
    "wrong-length": 1,
    "ill-formed": 2,
    "impossible-birth-date": 3,
    "wrong-check-character": 4,
}
# What could be taken for a digit, or trouble a buffer: NUL, full-width and other digits, half a surrogate pair.
STRANGE = "0Xx１٣²\0 \n\t?:/aZ一𝟘\udc80\x80ÿ"


def one_citizen_id(value: str) -> int:
    try:
        (CitizenId.from_fifteen if len(value) == 15 else CitizenId.parse)(value)
    except IdentifierError as error:
        return VERDICTS[error.code]
    return Verdict.OK_FIFTEEN if len(value) == 15 else Verdict.OK


def one_uscc(value: str) -> int:
    if is_old_registration_number(value):
        return UsccVerdict.OLD_REGISTRATION_NUMBER
    try:
        Uscc.parse(value)
    except IdentifierError as error:
        return VERDICTS[error.code]
    return UsccVerdict.OK


@st.composite
def mutated(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    """A good value; or one with a character replaced, put in or taken out, or cut short, or made far too long."""
    value = draw(values)
    place = draw(st.integers(0, len(value)))
    character = draw(st.one_of(st.sampled_from(STRANGE), st.characters()))
    match draw(st.integers(0, 6)):
        case 0:
            return value[:place] + character + value[place + 1 :]
        case 1:
            return value[:place] + character + value[place:]
        case 2:
            return value[:place]
        case 3:
            return value * draw(st.integers(0, 60))
        case 4:
            return value[:place] + draw(st.sampled_from("0123456789")) + value[place + 1 :]
        case 5:
            return value.lower()
        case _:
            return value


births = st.dates(date(1800, 1, 1), date(2199, 12, 31))
whole = st.builds(
    lambda division, birth, sequence: CitizenId.compute(str(division), birth, sequence).reveal(),
    st.integers(990100, 990121),
    births,
    st.integers(0, 999),
)
# Eight digits that are a date or not, with the right check character all the same.
any_date = st.builds(
    lambda eight, n: f"990101{eight:08d}{n:03d}", st.integers(0, 99999999), st.integers(0, 999)
).map(lambda first: first + mod_11_2(first))
fifteen = st.one_of(whole, any_date).map(lambda text: text[:6] + text[8:17])
codes = st.text(ALPHABET, min_size=17, max_size=17).map(lambda body: Uscc.compute(body).text)
old_numbers = st.text("0123456789", min_size=12, max_size=16)

citizen_columns = st.lists(
    st.one_of(mutated(whole), any_date, mutated(fifteen), st.text(max_size=20)), max_size=30
)
uscc_columns = st.lists(st.one_of(mutated(codes), mutated(old_numbers), st.text(max_size=20)), max_size=30)


@given(citizen_columns)
@example([])
@example([""])
@example(["\0" * 18, "\0" * 15, "9" * 100_000])
def test_a_column_of_citizen_ids_gets_the_verdicts_of_one_by_one(values: list[str]) -> None:
    assert check_citizen_ids(values).tolist() == [one_citizen_id(value) for value in values]


@given(uscc_columns)
@example([])
@example([""])
@example(["\0" * 18, "\0" * 15, "9" * 100_000])
def test_a_column_of_codes_gets_the_verdicts_of_one_by_one(values: list[str]) -> None:
    assert check_usccs(values).tolist() == [one_uscc(value) for value in values]


def test_every_edge_of_the_calendar_gets_the_verdict_of_one_by_one() -> None:
    eights = [
        f"{year}{month:02d}{day:02d}"
        for year in (1799, 1800, 1900, 1904, 1999, 2000, 2100, 2199, 2200)
        for month in range(14)
        for day in (0, 1, 28, 29, 30, 31, 32)
    ]
    firsts = [f"990101{eight}123" for eight in eights]
    column = [first + mod_11_2(first) for first in firsts] + [first[:6] + first[8:] for first in firsts]
    assert check_citizen_ids(column).tolist() == [one_citizen_id(value) for value in column]


@given(st.lists(st.one_of(whole, codes, st.text(max_size=18)), max_size=12), st.integers(1, 4))
def test_where_a_column_is_cut_into_blocks_makes_no_difference(values: list[str], size: int) -> None:
    citizens, companies = check_citizen_ids(values).tolist(), check_usccs(values).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "_BLOCK", size)
        assert check_citizen_ids(values).tolist() == citizens
        assert check_usccs(values).tolist() == companies


def test_every_verdict_occurs_so_that_agreement_is_not_of_refusals_alone() -> None:
    good = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
    other = "1" if good[17] != "1" else "2"
    no_date = "99010119801301123X"
    column = [good, good[:17], good[:17] + "?", no_date, good[:17] + other, good[:6] + good[8:17]]
    assert check_citizen_ids(column).tolist() == [0, 1, 2, 3, 4, 5]
    code = Uscc.compute("11990100MB2A00001").text
    other = "0" if code[17] != "0" else "1"
    assert check_usccs([code, code[:17], code.lower(), code[:17] + other, "1" * 13]).tolist() == [
        0,
        1,
        2,
        4,
        5,
    ]


@given(st.lists(st.text("0123456789", min_size=17, max_size=17), max_size=30))
def test_check_characters_of_a_column_are_those_of_one_by_one(first17s: list[str]) -> None:
    assert citizen_check_characters(first17s) == [mod_11_2(first) for first in first17s]


@pytest.mark.parametrize("wrong", ["", "1" * 16, "1" * 18, "1" * 16 + "X", "1" * 16 + "１", "1" * 16 + "\0"])
def test_no_check_character_is_given_for_anything_but_seventeen_digits(wrong: str) -> None:
    with pytest.raises(ValueError, match="17 digits"):
        citizen_check_characters(["1" * 17, wrong])
