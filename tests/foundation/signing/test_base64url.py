"""Base64url is read in one spelling only: what is read, written again, is the same text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.signing import decode_all, decode_base64url, encode_base64url


@given(st.binary(max_size=100))
def test_bytes_survive_a_trip_and_the_text_has_no_padding(data: bytes) -> None:
    text = encode_base64url(data)
    assert decode_base64url(text) == data
    assert not set(text) & set("=+/")


@given(st.one_of(st.text(max_size=12), st.text("ABab01-_=+/ \n", max_size=12)))
def test_any_text_is_refused_or_is_the_one_spelling_of_its_bytes(text: str) -> None:
    try:
        data = decode_base64url(text)
    except ValueError:
        return
    assert encode_base64url(data) == text


@pytest.mark.parametrize(
    "text",
    [
        "A",  # no byte has one character
        "AAAAA",
        "AB",  # bits set beyond the last byte
        "AAF",
        "AA==",
        "AAA=",
        "AA A",
        "AAAA\n",
        " AAAA",
        "AA+A",
        "AA/A",
        "AA.A",
        "ＡAAA",
        "AA\0A",
        "\udc80AAA",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        decode_base64url(text)
    with pytest.raises(ValueError):
        decode_all(["AAAA", text])


@given(
    st.lists(st.one_of(st.binary(max_size=20).map(encode_base64url), st.text("ABab01-_=+/ \n", max_size=6)))
)
def test_several_at_once_are_read_as_one_by_one(texts: list[str]) -> None:
    try:
        expected = [decode_base64url(text) for text in texts]
    except ValueError:
        with pytest.raises(ValueError):
            decode_all(texts)
    else:
        assert decode_all(texts) == expected


@pytest.mark.parametrize(("text", "data"), [("", b""), ("AA", b"\0"), ("-_8", b"\xfb\xff"), ("Zm9v", b"foo")])
def test_known_spellings(text: str, data: bytes) -> None:
    assert (decode_base64url(text), encode_base64url(data)) == (data, text)
