"""The example matters: each can be read, and what it names is there."""

from __future__ import annotations

from importlib import resources

import pytest

from exchange.matters.examples import load_examples
from exchange.matters.matter import Commitment, Matter, leaves
from exchange.matters.publishing import loop_through, require_known
from exchange.matters.report import Means, means
from foundation.identifiers import Uscc
from tests.exchange.matters.test_publishing import CATALOGUE

FIELDS = {
    "starting-business", "food-permit", "construction", "social-security", "housing-fund", "school-entry", "marriage",
    "birth", "disability", "subsidies", "driving", "teaching", "health", "property",
}  # fmt: skip

EXAMPLES = load_examples()


def test_there_are_thirty_of_all_fields_and_each_says_what_it_is() -> None:
    assert len(EXAMPLES) >= 30
    assert {each.document["field"] for each in EXAMPLES} >= FIELDS
    for each in EXAMPLES:
        assert each.document["example"] is True
        assert each.code.startswith("example-")
        Uscc.parse(each.department)


@pytest.mark.parametrize("matter", EXAMPLES, ids=lambda matter: matter.code)
def test_what_an_example_names_is_there_and_can_be_asked(matter: Matter) -> None:
    require_known(matter, CATALOGUE)
    folder = resources.files("schemas") / "commitments"
    for leaf in (leaf for material in matter.materials for leaf in leaves(material.evidence)):
        if isinstance(leaf, Commitment) and (folder / "commitment.json").is_file():
            assert (folder / f"{leaf.template}.json").is_file(), leaf.template
    assert any(means(each.get("evidence")) is Means.EXCHANGE for each in matter.document["materials"])


def test_no_example_needs_itself_by_way_of_others() -> None:
    needed = {each.code: each.needs_outcome_of for each in EXAMPLES}
    assert any(needed.values())
    assert all(other in needed for each in needed.values() for other in each)
    assert [loop_through(code, needed) for code in needed] == [None] * len(needed)
