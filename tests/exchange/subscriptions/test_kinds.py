"""Which kinds of events a change makes, and what of them a grant lets through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.registers.schemas import load_registers
from exchange.subscriptions.kinds import (
    GENERAL,
    LICENCE_KINDS,
    REGISTER_KINDS,
    kinds_of,
    kinds_of_change,
    licence_kind,
    told,
)

PERSONS, ENTITIES, CREDENTIALS = (
    load_registers()[name] for name in ("persons", "legal_entities", "credentials")
)


def person(**changes: Any) -> dict[str, Any]:
    return {"citizen_id": "x", "name": "张三丰", "address": "东湖路1号", "status": "resident", **changes}


@pytest.mark.parametrize(
    ("after", "kinds"),
    [
        (person(), {}),
        (person(name="张三"), {"person-changed": ["name"]}),
        (person(address="西"), {"address-changed": ["address"], "person-changed": ["address"]}),
        (
            person(status="dead", died_on="2025-01-01"),
            {"person-died": ["died_on", "status"], "person-changed": ["died_on", "status"]},
        ),
        (person(status="moved-out"), {"person-changed": ["status"]}),
        (None, {"person-changed": []}),
    ],
)
def test_people(after: dict[str, Any] | None, kinds: dict[str, list[str]]) -> None:
    found = kinds_of_change(PERSONS, person(), after)
    assert found == kinds
    assert list(found) == list(kinds), "the general kind last"


def test_who_was_dead_does_not_die_again() -> None:
    before, after = person(status="dead"), person(status="dead", died_on="2025-01-01")
    assert kinds_of_change(PERSONS, before, after) == {"person-changed": ["died_on"]}


def test_who_comes_back_is_told_of_though_nothing_differs() -> None:
    assert kinds_of_change(PERSONS, person(), person(), returned=True) == {"person-changed": []}
    before = {"code": "x", "name": "甲"}
    assert kinds_of_change(ENTITIES, before, before, returned=True) == {"entity-restored": []}
    assert list(kinds_of_change(ENTITIES, before, {**before, "name": "乙"}, returned=True)) == [
        "entity-restored",
        "entity-renamed",
        "entity-changed",
    ]


def test_entities() -> None:
    before = {"code": "x", "name": "甲", "representative_name": "张", "address": "东"}
    assert kinds_of_change(ENTITIES, before, None) == {"entity-struck-off": []}
    after = {**before, "name": "乙", "representative_name": "李", "business_scope": "茶"}
    assert kinds_of_change(ENTITIES, before, after) == {
        "entity-renamed": ["name"],
        "representative-changed": ["representative_name"],
        "entity-changed": ["business_scope", "name", "representative_name"],
    }


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("02", "licence-suspended"),
        ("05", "licence-expired"),
        ("03", "licence-revoked"),
        ("04", "licence-revoked"),
        ("07", "licence-revoked"),
        ("06", "licence-changed"),
        ("01", "licence-changed"),
        ("99", "licence-changed"),
    ],
)
def test_states_of_licences(state: str, kind: str) -> None:
    assert licence_kind(state) == kind
    before = {"state": "00", "holder_name": "甲"}
    assert kind in kinds_of_change(CREDENTIALS, before, {**before, "state": state})


def test_kinds_of_topics() -> None:
    assert kinds_of("licence.business-licence") == LICENCE_KINDS
    assert kinds_of("gossip") == ()


def test_the_general_kind_tells_what_no_other_tells() -> None:
    kinds = {"address-changed": ["address"], "person-changed": ["address", "name"]}
    everything = frozenset({"address", "name"})
    assert told(kinds, frozenset(kinds), everything) == [
        ("address-changed", ["address"]),
        ("person-changed", ["name"]),
    ]
    assert told(kinds, frozenset({"person-changed"}), everything) == [("person-changed", ["address", "name"])]


def test_what_is_not_granted_is_not_told_not_even_that_it_changed() -> None:
    kinds = {"address-changed": ["address"], "person-changed": ["address", "name"]}
    assert told(kinds, frozenset(kinds), frozenset({"name"})) == [("person-changed", ["name"])]
    assert told(kinds, frozenset(kinds), frozenset({"sex"})) == []
    assert told({"entity-struck-off": []}, frozenset({"entity-struck-off"}), frozenset()) == [
        ("entity-struck-off", [])
    ]


_VALUES = st.one_of(st.none(), st.sampled_from(["a", "b", "dead", "02"]))


@given(st.data(), st.sampled_from(sorted(REGISTER_KINDS)))
def test_every_granted_difference_is_told_once(data: st.DataObject, name: str) -> None:
    register = load_registers()[name]
    records = st.dictionaries(st.sampled_from(register.fields), _VALUES)
    before, after = data.draw(records), data.draw(records)
    granted = data.draw(st.frozensets(st.sampled_from(register.fields)))
    wanted = frozenset(data.draw(st.sets(st.sampled_from(REGISTER_KINDS[name])))) | {REGISTER_KINDS[name][-1]}
    changed = {field for field in register.fields if before.get(field) != after.get(field)}
    events = told(kinds_of_change(register, before, after), wanted, granted)
    fields = [field for _kind, names in events for field in names]
    assert sorted(fields) == sorted(changed & granted)
    assert len(fields) == len(set(fields))
    assert all(kind in wanted for kind, _names in events)
    assert sum(kind in GENERAL for kind, _names in events) <= 1
