"""Circles between matters, and evidence that names what is not there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exchange.catalog.resources import load_catalogue
from exchange.matters.matter import read_matter
from exchange.matters.publishing import MatterNotPublishable, loop_through, require_known
from tests.exchange.matters.test_matter import document, material


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
    return {"claims": {"resource": resource, "subject": "applicant", "claims": claims}}


@pytest.mark.parametrize(
    "evidence",
    [
        claims("nothing-of-ours", name="a"),
        claims("persons-basic", shoe_size=7),
        claims("persons-basic", adult={"field": "born", "is": "age-at-least", "value": 18}),
        {"any_of": [{"query": {"resource": "persons-basic", "subject": "applicant", "fields": ["died"]}}]},
    ],
)
def test_evidence_that_names_what_is_not_there_is_not_published(evidence: dict[str, Any]) -> None:
    matter = read_matter(document(materials=[material(None, "b"), material(evidence)]))
    with pytest.raises(MatterNotPublishable) as refused:
        require_known(matter, load_catalogue())
    assert refused.value.pointer == "/materials/1/evidence"


def test_a_licence_type_is_looked_for_where_the_catalogue_holds_any() -> None:
    matter = read_matter(
        document(materials=[material({"licence": {"type": "driving-licence", "subject": "applicant"}})])
    )
    catalogue = {name: each for name, each in load_catalogue().items() if not name.startswith("licence.")}
    require_known(matter, catalogue)
    persons = catalogue["persons-basic"]
    known = {"licence.driving-licence": replace(persons, id="licence.driving-licence")}
    require_known(matter, {**catalogue, **known})
    other = {"licence.food-permit": replace(persons, id="licence.food-permit")}
    with pytest.raises(MatterNotPublishable):
        require_known(matter, {**catalogue, **other})
