"""One lead source per data item: the rule by itself."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exchange.registers.lead import Said, combine, provenance

START = datetime(2026, 1, 1, tzinfo=UTC)
RANKS = {("police", "name"): 1, ("tax", "name"): 5, ("tax", "address"): 1, ("police", "address"): 9}


def rank(source: str, field: str) -> int:
    return RANKS.get((source, field), 100)


def said(source: str, hours: int = 0, **record: Any) -> Said:
    return Said(source, record, f"run-{source}", "", 7, {}, START + timedelta(hours=hours))


def test_each_field_comes_from_the_source_that_leads_it() -> None:
    joined = combine(
        [
            said("police", name="张三", address="旧街1号"),
            said("tax", hours=1, name="张叁", address="新街2号"),
        ],
        rank,
    )
    assert joined.record == {"address": "新街2号", "name": "张三"}
    assert {name: each.source for name, each in joined.lead.items()} == {"name": "police", "address": "tax"}
    assert joined.differing == {("tax", "name"), ("police", "address")}


def test_a_lead_source_without_a_value_leaves_the_field_to_the_others() -> None:
    joined = combine([said("police", name=None), said("tax", name="张三", phone="1")], rank)
    assert joined.record == {"name": "张三", "phone": "1"}
    assert joined.differing == frozenset()


def test_of_equal_rank_the_one_that_spoke_last_leads() -> None:
    joined = combine([said("b", hours=1, status="dead"), said("a", hours=2, status="resident")], rank)
    assert joined.record == {"status": "resident"}


def test_the_provenance_names_run_part_row_and_what_was_changed() -> None:
    first = Said("police", {"name": "a", "born": "b"}, "r1", "sheet", 3, {"born": ["date-normalised"]}, START)
    assert provenance(combine([first], rank)) == {
        "fields": {
            "name": {"source": "police", "run": "r1", "part": "sheet", "row": 3},
            "born": {"source": "police", "run": "r1", "part": "sheet", "row": 3},
        },
        "transforms": {"born": ["date-normalised"]},
    }


SAID = st.lists(
    st.builds(
        said,
        st.sampled_from(["police", "tax", "civil"]),
        st.integers(0, 3),
        name=st.sampled_from([None, "x", "y"]),
        address=st.sampled_from([None, "x", "y"]),
    ),
    max_size=3,
    unique_by=lambda each: each.source,
)


@given(SAID)
def test_the_order_in_which_sources_are_asked_says_nothing(each: list[Said]) -> None:
    results = [combine(order, rank) for order in itertools.permutations(each)]
    assert all(result == results[0] for result in results)
    for name, value in results[0].record.items():
        assert value in {said.record[name] for said in each}
