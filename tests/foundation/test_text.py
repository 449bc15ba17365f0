"""Text from outside: what is clean, and what a free field refuses to carry."""

from __future__ import annotations

import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from foundation.identifiers import CitizenId
from foundation.text import CleanText, Code, FreeText, is_clean

PERSON = CitizenId.compute("990105", date(1991, 12, 31), 3).reveal()

CLEAN = ["a", " ", "张三丰", "㐀𠀀", "古力娜扎·买买提", "Ünïcödé", "（二）号", "\ue000", "1\u3000号", "👍"]
UNCLEAN = {
    "NUL": "a\0b",
    "line feed": "a\nb",
    "tab": "a\tb",
    "escape": "\x1b[31m",
    "delete": "a\x7f",
    "C1 control": "张\x85",
    "line separator": "张\u2028三",
    "paragraph separator": "张\u2029三",
    "lone surrogate": "张\ud800",
    "no character": "\ufffe",
}


@pytest.mark.parametrize("text", CLEAN)
def test_clean_text_is_taken_as_it_is(text: str) -> None:
    assert is_clean(text)
    assert TypeAdapter(CleanText).validate_python(text) == text


@pytest.mark.parametrize("name", UNCLEAN)
def test_control_characters_and_the_like_are_refused(name: str) -> None:
    assert not is_clean(UNCLEAN[name])
    with pytest.raises(ValidationError):
        TypeAdapter(CleanText).validate_python(UNCLEAN[name])


@given(st.text(st.characters(max_codepoint=0x17F), max_size=8))
def test_the_short_way_for_ascii_says_the_same_as_the_long_one(text: str) -> None:
    # A character beyond ASCII in front makes it take the long way.
    assert is_clean(text) == is_clean("张" + text)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40))
def test_what_is_neither_control_nor_separator_is_clean(text: str) -> None:
    assert is_clean(text)
    assert is_clean(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize("text", ["", "x" * 301, "张" * 301])
def test_the_length_is_bounded(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(CleanText).validate_python(text)
    assert TypeAdapter(CleanText).validate_python("张" * 300)


@pytest.mark.parametrize(
    "text",
    [PERSON, PERSON.lower(), f"case {PERSON}", f"号{PERSON}的", f"a{PERSON}b", PERSON[:6] + PERSON[8:17]],
)
def test_a_citizen_id_does_not_belong_into_a_free_field(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(FreeText).validate_python(text)
    assert PERSON not in refused.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    "text", ["2025-1", PERSON[:17], "1" + PERSON, PERSON[:17] + "A", "20250101120000123", "000000000000000"]
)
def test_other_numbers_do(text: str) -> None:
    assert TypeAdapter(FreeText).validate_python(text) == text


@pytest.mark.parametrize("text", ["a", "persons-basic", "9", "A1._:-", "x" * 100])
def test_codes(text: str) -> None:
    assert TypeAdapter(Code).validate_python(text) == text


@pytest.mark.parametrize("text", ["", "-a", ".", "a b", "a\n", "张", "x" * 101, "a/b", "a\0"])
def test_no_codes(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Code).validate_python(text)
