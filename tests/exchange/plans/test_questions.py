"""From evidence to questions: what is filled in, and what shares a question."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.matters.matter import Claims, LicenceHeld, Query
from exchange.plans.judging import Reason
from exchange.plans.questions import MOST_CLAIMS, Case, Leaf, bundled, question

CASE = Case(
    "2025-1",
    {"applicant": "A", "firm": "F"},
    {"applicant": ("citizen-id", b"a"), "firm": ("uscc", b"f")},
    {"name": "张三", "amount": 5},
    frozenset(),
)


@pytest.mark.parametrize(
    ("claim", "filled"),
    [
        ("x", "x"),
        (True, True),
        ({"input": "name"}, "张三"),
        (
            {"field": "capital", "is": "at-least", "value": {"input": "amount"}},
            {"field": "capital", "is": "at-least", "value": 5},
        ),
        (
            {"is": "representative-of", "value": {"subject": "firm"}},
            {"is": "representative-of", "value": "F"},
        ),
        ({"field": "valid_to", "is": "valid-on"}, {"field": "valid_to", "is": "valid-on"}),
    ],
)
def test_values_come_from_the_matter_the_form_and_the_case(claim: Any, filled: Any) -> None:
    made = question(0, Claims("persons-basic", "applicant", {"c": claim}), CASE)
    assert isinstance(made, Leaf)
    assert made.claims == {"c": filled}


@pytest.mark.parametrize(
    ("asking", "reason"),
    [
        (Claims("r", "spouse", {"c": "x"}), Reason.SUBJECT_MISSING),
        (Claims("r", "applicant", {"c": {"input": "born"}}), Reason.INPUT_MISSING),
        (Claims("r", "applicant", {"c": {"is": "at-least", "value": {"input": "born"}}}), Reason.INPUT_MISSING),
        (Claims("r", "applicant", {"c": {"is": "representative-of", "value": {"subject": "shop"}}}), Reason.SUBJECT_MISSING),
        (Query("r", "spouse", ("name",)), Reason.SUBJECT_MISSING),
        (LicenceHeld("business-licence", "spouse"), Reason.SUBJECT_MISSING),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(asking: Any, reason: Reason) -> None:
    assert question(0, asking, CASE) is reason


def test_a_number_is_not_a_truth() -> None:
    one = Leaf(0, "verify", "r", "applicant", {"c": 1})
    true = Leaf(1, "verify", "r", "applicant", {"c": True})
    assert len(bundled([one, true])) == 2
    assert len(bundled([one, one])) == 1


leaf = st.builds(
    lambda number, mode, resource, role, claims: Leaf(
        number,
        mode,
        resource,
        role,
        claims if mode == "verify" else {},
        () if mode == "verify" else tuple(claims),
    ),
    st.integers(0, 10**9),
    st.sampled_from(["verify", "query"]),
    st.sampled_from(["r", "s"]),
    st.sampled_from(["applicant", "spouse"]),
    st.dictionaries(
        st.integers(0, 80).map(lambda n: f"f{n}"),
        st.sampled_from(["x", "y", 1, True]),
        min_size=1,
        max_size=20,
    ),
)


@given(st.lists(leaf, max_size=30, unique_by=lambda each: each.number))
def test_every_leaf_is_asked_once_as_it_is_and_no_question_is_too_large(leaves: list[Leaf]) -> None:
    bundles = bundled(leaves)
    assert sorted(each.number for bundle in bundles for each in bundle.leaves) == sorted(
        each.number for each in leaves
    )
    for bundle in bundles:
        assert len(bundle.claims) <= MOST_CLAIMS
        assert len(bundle.fields) <= MOST_CLAIMS
        for each in bundle.leaves:
            first = bundle.first
            assert (each.mode, each.resource, each.role) == (first.mode, first.resource, first.role)
            assert all(
                (type(bundle.claims[name]), bundle.claims[name]) == (type(value), value)
                for name, value in each.claims.items()
            )
            assert set(each.fields) <= set(bundle.fields)
