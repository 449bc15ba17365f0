"""Circles between matters, and evidence that names what is not there."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.catalog.resources import load_catalogue
from exchange.matters.matter import Matter, read_matter
from exchange.matters.publishing import MatterNotPublishable, loop_through, require_known
from license_registry.catalog.types import load_types
from tests.exchange.matters.test_matter import document, material
from zhengtong.licence_resources import licence_resources

CATALOGUE = {**load_catalogue(), **{each.id: each for each in licence_resources(load_types())}}


@pytest.mark.parametrize(
    ("needed", "path"),
    [
        ({"a": ("b",), "b": ("c",)}, None),
        ({"a": ("a",)}, ("a", "a")),
        ({"a": ("b", "c"), "b": ("d",), "c": ("a",), "d": ("a",)}, ("a", "c", "a")),
        ({"a": ("b",), "b": ("c",), "c": ("d",), "d": ("a",)}, ("a", "b", "c", "d", "a")),
        # A circle among others is theirs: publishing `a` does not make it.
        ({"a": ("b",), "b": ("c",), "c": ("b",)}, None),
    ],
)
def test_a_way_back_is_found(needed: dict[str, tuple[str, ...]], path: tuple[str, ...] | None) -> None:
    assert loop_through("a", needed) == path


def test_a_long_chain_is_no_recursion() -> None:
    needed = {str(n): (str(n + 1),) for n in range(50_000)}
    assert loop_through("0", needed) is None
    found = loop_through("0", needed | {"50000": ("0",)})
    assert found is not None and len(found) == 50_002


def claims(resource: str, **claims: Any) -> dict[str, Any]:
    return {"claims": {"resource": resource, "subject": "manager", "claims": claims}}


def matter(evidence: dict[str, Any]) -> Matter:
    inputs = {name: {"title": name, "type": name} for name in ("text", "date", "division", "integer")}
    return read_matter(document(inputs=inputs, materials=[material(None, "b"), material(evidence)]))


@pytest.mark.parametrize(
    "evidence",
    [
        claims("nothing-of-ours", name="a"),
        claims("persons-basic", shoe_size=7),
        claims("persons-basic", adult={"field": "born", "is": "age-at-least", "value": 18}),
        claims("persons-basic", adult={"is": "older", "value": 18}),
        claims("persons-basic", adult={"is": "age-at-least", "value": {"input": "date"}}),
        claims("persons-basic", birth_date={"input": "text"}),
        claims("persons-basic", name=True),
        claims("persons-basic", there={"is": "in-division", "value": {"input": "text"}}),
        claims("persons-basic", it={"is": "representative-of", "value": {"subject": "manager"}}),
        claims("legal-entities-basic", name="a"),  # about entities; the role is a person
        {"any_of": [{"query": {"resource": "persons-basic", "subject": "manager", "fields": ["died"]}}]},
        {"licence": {"type": "unheard-of", "subject": "manager"}},
        {"licence": {"type": "food-permit", "subject": "manager"}},
    ],
)
def test_evidence_that_can_never_be_asked_is_not_published(evidence: dict[str, Any]) -> None:
    with pytest.raises(MatterNotPublishable) as refused:
        require_known(matter(evidence), CATALOGUE)
    assert refused.value.pointer == "/materials/1/evidence"


@pytest.mark.parametrize(
    "evidence",
    [
        claims("persons-basic", name={"input": "text"}, birth_date={"input": "date"}),
        claims("persons-basic", adult={"is": "age-at-least", "value": {"input": "integer"}}),
        claims("persons-basic", there={"is": "in-division", "value": {"input": "division"}}),
        claims("persons-basic", it={"is": "representative-of", "value": {"subject": "applicant"}}),
        claims("persons-basic", none={"is": "no-entry", "value": "criminal-record"}),
        {"licence": {"type": "driving-licence", "subject": "manager"}},
        {"all_of": [{"commitment": "any-at-all"}, {"material": "b"}]},
    ],
)
def test_what_can_be_asked_is_published(evidence: dict[str, Any]) -> None:
    require_known(matter(evidence), CATALOGUE)
