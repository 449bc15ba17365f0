"""Counts over descriptions: what is confirmed, what a name suggests, what is left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from exchange.matters.applying import Confirmed, settle
from exchange.matters.decisions import Decision
from exchange.matters.report import Means, means, report
from exchange.matters.settled_already import Asked, settled_already
from tests.exchange.matters.test_applying import IDENTITY, matter

NOW = datetime(2025, 9, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("evidence", "best"),
    [
        (None, None),
        ({"commitment": "a-b"}, Means.COMMITMENT),
        ({"any_of": [{"commitment": "a-b"}, {"licence": {}}]}, Means.EXCHANGE),
        ({"all_of": [{"commitment": "a-b"}, {"claims": {}}]}, Means.COMMITMENT),
        ({"all_of": [{"query": {}}, {"any_of": [{"claims": {}}]}]}, Means.EXCHANGE),
    ],
)
def test_what_a_tree_settles_by(evidence: Any, best: Means | None) -> None:
    assert means(evidence) is best


def test_papers_and_names_are_counted_by_what_is_known() -> None:
    documents = [
        settle(matter("身份证", "授权委托书"), {"身份证": IDENTITY}),
        matter("身份证", "营业执照", "申请表"),
        matter("教材"),
        matter(),
    ]
    found = report(documents, [])
    assert found.matters == 4
    assert found.count.occurrences == {
        "confirmed": 1,
        "candidate-commitment": 1,
        "candidate": 2,
        "form": 1,
        "open": 1,
    }
    # A name counts once, by the best that is known of it.
    assert found.count.names == {
        "confirmed": 1,
        "candidate-commitment": 1,
        "candidate": 1,
        "form": 1,
        "open": 1,
    }
    assert found.by_evidence["person-identity"] == {"confirmed": 1, "candidate": 1}
    free = found.paper_free
    assert (free.asks_nothing, free.confirmed, free.with_candidates, free.but_the_form) == (1, 0, 1, 1)
    assert found.open_names == (("教材", 1),)
    ((_office, counts),) = found.departments.items()
    assert counts["matters"] == 4


def test_what_a_steward_rejected_is_no_candidate() -> None:
    rejected = Decision("身份证", "person-identity", "rejected", None, None, "s", NOW)
    assert report([matter("身份证")], [rejected]).count.occurrences == {"open": 1}


def test_all_of_a_name_or_none() -> None:
    assert report([matter("残疾证、烈属证")], []).count.occurrences == {"open": 1}
    assert report([matter("身份证或烈属证")], []).count.occurrences == {"candidate": 1}


def test_what_should_no_longer_be_asked_comes_with_numbers() -> None:
    document = settle(
        matter("身份证", "授权委托书", "教材", "营业执照"),
        {
            "身份证": IDENTITY,
            "授权委托书": Confirmed("authorisation"),
            "营业执照": Confirmed("business-licence"),
        },
    )
    identity, licence = settled_already([document], None)
    assert (identity.name, identity.evidence, identity.asked) == ("身份证", ("persons-basic",), None)
    assert licence.evidence == ("licence.business-licence", "legal-entities-basic")
    first, second = settled_already([document], {("m-1", "m4"): Asked(9, 7)})
    assert (first.name, first.asked, second.asked) == ("营业执照", Asked(9, 7), Asked())
