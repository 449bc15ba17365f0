"""Canonical JSON is that of an independent implementation of RFC 8785, and what is not safe to sign is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from foundation.signing import canonical_json
from foundation.signing.canonical import DEEPEST, LARGEST_INTEGER

# Characters on both sides of the surrogates: there the order of code points is not that of UTF-16 units.
EDGES = '\0\x1f"\\/\x7f\x80é€一\ud7ff\ue000\uffff\U00010000😀\U0010ffff~'
texts = st.one_of(st.text(max_size=8), st.text(EDGES, max_size=4))
scalars = st.one_of(st.none(), st.booleans(), st.integers(-LARGEST_INTEGER, LARGEST_INTEGER), texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.tuples(inner, inner), st.dictionaries(texts, inner, max_size=6)
    ),
    max_leaves=25,
)


@given(values)
@example({"\ue000": 1, "😀": 2})
@example({"": {"": []}})
def test_the_spelling_is_that_of_an_independent_implementation(value: Any) -> None:
    spelled = canonical_json(value)
    assert spelled == rfc8785.dumps(value)
    assert canonical_json(json.loads(spelled)) == spelled


def test_the_order_of_members_is_that_of_the_example_in_rfc_8785() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\xf6"]
    spelled = canonical_json(dict.fromkeys(names, 0))
    assert list(json.loads(spelled)) == ["\r", "1", "\x80", "\xf6", "\u20ac", "\U0001f600", "\ufb33"]


@given(st.integers(), st.sampled_from(["top", "member", "item"]))
@example(LARGEST_INTEGER, "top")
@example(LARGEST_INTEGER + 1, "top")
@example(-LARGEST_INTEGER - 1, "item")
def test_integers_end_where_they_end_for_an_independent_implementation(whole: int, place: str) -> None:
    value = {"top": whole, "member": {"n": whole}, "item": [whole]}[place]
    try:
        theirs = rfc8785.dumps(value)
    except rfc8785.IntegerDomainError:
        with pytest.raises(ValueError, match="integer beyond"):
            canonical_json(value)
    else:
        assert canonical_json(value) == theirs


class Word(StrEnum):
    FIRST = "first"


class Number(IntEnum):
    ONE = 1


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another"


def test_enumerations_and_other_kinds_of_text_and_number_are_spelled_by_their_value() -> None:
    value = {Word.FIRST: Number.ONE, Text("a"): Text("b"), "t": (True, Number.ONE)}
    assert canonical_json(value) == b'{"a":"b","first":1,"t":[true,1]}'


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (1.0, "the top"),
        ({"a": [0, {"b": 0.5}]}, "/a/1/b"),
        (float("nan"), "the top"),
        ([float("inf")], "/0"),
        (Decimal(1), "the top"),
        (b"x", "the top"),
        ({"a": {1, 2}}, "/a"),
        ([object()], "/0"),
        ({1: "x"}, "the top"),
        ({"a": {None: "x"}}, "/a"),
        ({"a": "\ud800"}, "/a"),
        ({"a": ["😀", "\udc00x"]}, "/a/1"),
        ({"x": {"\ud800": 1}}, "/x"),
        ({"a/b": {"c~d": 0.5}}, "/a~1b/c~0d"),
        ({"😀": 0.5, "a": 2**60}, "/😀"),
    ],
)
def test_what_is_not_safe_to_sign_is_refused_with_its_place(value: Any, place: str) -> None:
    with pytest.raises(ValueError, match=r" at ") as caught:
        canonical_json(value)
    assert str(caught.value).endswith(f" at {place}")


@pytest.mark.parametrize("secret", [10**18 + 12345, "990101\ud800", 0.123456])
def test_a_refusal_does_not_repeat_the_value(secret: Any) -> None:
    with pytest.raises(ValueError, match="/field") as caught:
        canonical_json({"field": secret})
    assert "12345" not in str(caught.value)
    assert "990101" not in str(caught.value)


@pytest.mark.parametrize(
    "wrap", [lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: {"😀": inner}]
)
def test_nesting_ends_at_the_same_depth_whatever_is_nested(wrap: Any) -> None:
    value: Any = 1
    for _ in range(DEEPEST):
        value = wrap(value)
    assert canonical_json(value) == rfc8785.dumps(value)
    with pytest.raises(ValueError, match="deeper"):
        canonical_json(wrap(value))
    for _ in range(5000):  # far beyond what a recursion would stand
        value = wrap(value)
    with pytest.raises(ValueError, match="deeper"):
        canonical_json(value)
