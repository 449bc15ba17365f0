"""What an act makes of a request: rules without database."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.catalog.resources import FieldUnknown, Resource, load_catalogue
from exchange.deadlines import load_deadlines
from exchange.grants.grant import Hours, Mode
from exchange.requests.request import (
    Act,
    Asked,
    DisputeNotOpen,
    RequestInvalid,
    Scope,
    ScopeTooWide,
    ShareRequest,
    applied,
    followed_by,
    granted_scope,
    submitted,
)
from exchange.requests.states import Action, Actor, State
from foundation.settings import Settings

NOW = datetime(2026, 9, 24, 4, 0, tzinfo=UTC)
UNTIL = datetime(2027, 9, 24, 4, 0, tzinfo=UTC)
DEADLINES = load_deadlines(Settings(home=Path("nowhere")))
PERSONS = load_catalogue()["persons-basic"]
ENTITIES = load_catalogue()["legal-entities-basic"]
ASKED_SCOPE = Scope(
    frozenset({"name", "birth_date"}),
    frozenset({"m1", "m2"}),
    frozenset({Mode.VERIFY, Mode.QUERY}),
    100,
    UNTIL,
    per_minute=10,
    hours=Hours(time(8), time(18)),
)


def asked(scope: Scope = ASKED_SCOPE, **changes: Any) -> Asked:
    return replace(Asked("persons-basic", None, None, scope, "公积金提取", "国务院令第809号"), **changes)


def fresh(resource: Resource | None = PERSONS, **changes: Any) -> ShareRequest:
    return submitted(uuid.uuid4(), "fund", "asking", asked(**changes), resource, DEADLINES, NOW)


def go(request: ShareRequest, act: Act, actor: Actor, now: datetime = NOW) -> ShareRequest:
    return applied(request, act, actor, PERSONS, DEADLINES, now)


def checked() -> ShareRequest:
    return go(fresh(), Act(Action.CHECK), Actor.AUTHORITY)


def test_a_conditional_request_goes_its_way_and_each_step_has_its_term() -> None:
    request = fresh()
    assert (request.state, request.owner, request.due_on) == (
        State.SUBMITTED,
        PERSONS.department,
        date(2026, 9, 29),
    )
    request = go(request, Act(Action.CHECK), Actor.AUTHORITY)
    assert (request.state, request.due_on) == (State.CHECKED, date(2026, 10, 15))
    request = go(request, Act(Action.GRANT), Actor.OWNER, NOW + timedelta(days=14))
    assert (request.answer_days, request.answered_in_time, request.granted) == (4, True, ASKED_SCOPE)
    assert request.due_on == date(2026, 11, 4)
    request = go(request, Act(Action.PROVIDE, grant_id=uuid.uuid4()), Actor.OWNER)
    assert (request.state, request.due_on) == (State.PROVIDED, None)
    assert granted_scope(request, PERSONS) == ASKED_SCOPE


def test_what_is_shared_without_conditions_is_granted_and_given_once_it_is_checked() -> None:
    request = submitted(
        uuid.uuid4(),
        "fund",
        "asking",
        asked(replace(ASKED_SCOPE, fields=frozenset({"name"})), resource="legal-entities-basic"),
        ENTITIES,
        DEADLINES,
        NOW,
    )
    assert followed_by(request, Action.SUBMIT, ENTITIES) is None
    request = applied(request, Act(Action.CHECK), Actor.AUTHORITY, ENTITIES, DEADLINES, NOW)
    actions = []
    following = followed_by(request, Action.CHECK, ENTITIES)
    while following is not None:
        actions.append(following.action)
        request = applied(request, following, Actor.EXCHANGE, ENTITIES, DEADLINES, NOW)
        following = followed_by(request, following.action, ENTITIES)
    assert actions == [Action.GRANT, Action.PROVIDE]
    assert (request.state, request.answer_days) == (State.PROVIDED, 0)


def test_what_is_not_shared_is_refused_in_the_same_breath_with_its_legal_basis() -> None:
    kept = replace(PERSONS, sharing_class="not-shared", legal_basis="某法第一条")
    request = fresh(kept)
    refuse = followed_by(request, Action.SUBMIT, kept)
    assert refuse is not None
    request = go(request, refuse, Actor.EXCHANGE)
    assert (request.state, request.legal_basis) == (State.REFUSED, "某法第一条")
    assert followed_by(request, Action.REFUSE, kept) is None


def test_what_the_catalogue_lacks_is_asked_for_by_name_and_owner() -> None:
    request = fresh(None, title="不动产登记信息", owner="land")
    assert (request.sharing_class, request.owner) == ("not-on-platform", "land")
    for missing in ({"title": "x"}, {"owner": "land"}, {}):
        with pytest.raises(RequestInvalid):
            fresh(None, **missing)


def test_fields_that_the_resource_lacks_cannot_be_asked_for() -> None:
    with pytest.raises(FieldUnknown):
        fresh(scope=replace(ASKED_SCOPE, fields=frozenset({"shoe_size"})))


def test_asking_for_what_is_over_is_refused() -> None:
    with pytest.raises(RequestInvalid):
        fresh(scope=replace(ASKED_SCOPE, until=NOW))
    with pytest.raises(RequestInvalid):
        fresh(scope=replace(ASKED_SCOPE, clear_fields=frozenset({"address"})))


WIDER = {
    "fields": {"fields": frozenset({"name", "address"})},
    "matters": {"matters": frozenset({"m3"})},
    "modes": {"modes": frozenset({Mode.BATCH})},
    "per_day": {"per_day": 101},
    "until": {"until": UNTIL + timedelta(seconds=1)},
    "clear_fields": {"clear_fields": frozenset({"name"})},
    "per_minute": {"per_minute": 11},
    "hours": {"hours": Hours(time(8), time(18, 1))},
}


@pytest.mark.parametrize("member", WIDER)
def test_nobody_grants_more_than_was_asked_for(member: str) -> None:
    scope = replace(ASKED_SCOPE, **WIDER[member])
    with pytest.raises(ScopeTooWide) as told:
        go(checked(), Act(Action.GRANT_IN_PART, scope=scope, reason="x"), Actor.OWNER)
    assert told.value.pointer == f"/scope/{member}"
    disputed = go(
        go(checked(), Act(Action.REFUSE, reason="x"), Actor.OWNER),
        Act(Action.DISPUTE, reason="y"),
        Actor.REQUESTER,
    )
    with pytest.raises(ScopeTooWide):
        go(disputed, Act(Action.DECIDE_FOR_REQUESTER, scope=scope, reason="x"), Actor.AUTHORITY)


MOMENTS = st.times().map(lambda at: at.replace(microsecond=0))


@given(MOMENTS, MOMENTS, MOMENTS, MOMENTS, st.lists(MOMENTS, min_size=1))
def test_hours_within_others_hold_only_when_these_do(
    begin: time, end: time, other_begin: time, other_end: time, others: list[time]
) -> None:
    if begin == end or other_begin == other_end:
        return
    one, other = Hours(begin, end), Hours(other_begin, other_end)
    # What is decided at the edges and just before them is decided everywhere.
    edges = [begin, other_begin, *(_just_before(at) for at in (end, other_end)), other_end, *others]
    assert one.within(other) == all(other.holds(at) for at in edges if one.holds(at))


def _just_before(at: time) -> time:
    return (datetime.combine(date(2000, 1, 2), at) - timedelta(seconds=1)).time()


def test_a_scope_without_limits_is_wider_than_one_with_them_and_reads_as_before() -> None:
    for member, limit in (("per_minute", 1), ("hours", Hours(time(22), time(6)))):
        narrow, wide = replace(ASKED_SCOPE, **{member: limit}), replace(ASKED_SCOPE, **{member: None})
        assert (narrow.excess(wide), wide.excess(narrow)) == (None, member)
        assert Scope.read(narrow.document()) == narrow
    old = {
        name: value for name, value in ASKED_SCOPE.document().items() if name not in {"per_minute", "hours"}
    }
    assert Scope.read(old) == replace(ASKED_SCOPE, per_minute=None, hours=None)


def test_divisions_only_ever_get_narrower() -> None:
    of = frozenset
    wide, city, county = (
        ASKED_SCOPE,
        replace(ASKED_SCOPE, divisions=of({"9901"})),
        replace(ASKED_SCOPE, divisions=of({"990101"})),
    )
    assert city.excess(wide) is None
    assert county.excess(city) is None
    assert wide.excess(city) == city.excess(county) == "divisions"
    assert replace(city, divisions=of({"9901", "9902"})).excess(city) == "divisions"


SCOPES = st.builds(
    Scope,
    st.frozensets(st.sampled_from("abc"), min_size=1),
    st.frozensets(st.sampled_from("mn"), min_size=1),
    st.frozensets(st.sampled_from(Mode), min_size=1),
    st.integers(1, 3),
    st.integers(0, 2).map(lambda days: UNTIL + timedelta(days=days)),
    st.frozensets(st.sampled_from("abc")),
    st.frozensets(st.sampled_from(["99", "9901", "990101", "98"])),
)


@given(SCOPES, SCOPES, SCOPES)
def test_going_beyond_is_an_order_and_documents_are_read_as_written(a: Scope, b: Scope, c: Scope) -> None:
    assert a.excess(a) is None
    if a.excess(b) is None and b.excess(c) is None:
        assert a.excess(c) is None
    assert Scope.read(a.document()) == a


def test_a_grant_in_part_says_which_part_and_why() -> None:
    part = replace(ASKED_SCOPE, fields=frozenset({"name"}))
    for act in (
        Act(Action.GRANT_IN_PART, scope=part),
        Act(Action.GRANT_IN_PART, reason="x"),
        Act(Action.GRANT_IN_PART, scope=ASKED_SCOPE, reason="x"),
        Act(Action.GRANT_IN_PART, scope=replace(part, matters=frozenset()), reason="x"),
        Act(Action.REFUSE),
    ):
        with pytest.raises(RequestInvalid):
            go(checked(), act, Actor.OWNER)
    request = go(checked(), Act(Action.GRANT_IN_PART, scope=part, reason="x"), Actor.OWNER)
    assert (request.state, request.granted) == (State.GRANTED_IN_PART, part)


def test_only_less_than_was_asked_for_or_a_passed_term_is_disputed_and_once() -> None:
    dispute = Act(Action.DISPUTE, reason="x")
    request = checked()
    with pytest.raises(DisputeNotOpen):
        go(request, dispute, Actor.REQUESTER)
    # The last day is the 15th, until midnight in China.
    with pytest.raises(DisputeNotOpen):
        go(request, dispute, Actor.REQUESTER, datetime(2026, 10, 15, 15, 59, tzinfo=UTC))
    late = go(request, dispute, Actor.REQUESTER, datetime(2026, 10, 15, 16, 0, tzinfo=UTC))
    assert late.state is State.DISPUTED
    decided = go(late, Act(Action.DECIDE_FOR_OWNER, reason="x"), Actor.AUTHORITY)
    assert decided.state is State.DECIDED_REFUSED
    part = replace(ASKED_SCOPE, per_day=1)
    request = go(checked(), Act(Action.GRANT_IN_PART, scope=part, reason="x"), Actor.OWNER)
    request = go(request, Act(Action.PROVIDE, grant_id=uuid.uuid4()), Actor.OWNER)
    request = go(request, dispute, Actor.REQUESTER)
    stands = go(request, Act(Action.DECIDE_FOR_OWNER, reason="x"), Actor.AUTHORITY)
    assert (stands.state, stands.granted, stands.grant_id) == (State.PROVIDED, part, request.grant_id)
    with pytest.raises(DisputeNotOpen):
        go(stands, dispute, Actor.REQUESTER)
    won = go(request, Act(Action.DECIDE_FOR_REQUESTER, reason="x"), Actor.AUTHORITY)
    assert (won.state, won.granted) == (State.DECIDED_GRANTED, ASKED_SCOPE)


def test_an_answer_after_its_term_is_late() -> None:
    request = go(checked(), Act(Action.REFUSE, reason="x"), Actor.OWNER, NOW + timedelta(days=30))
    assert (request.answered_in_time, request.state) == (False, State.REFUSED)


def test_a_grant_holds_no_field_that_the_resource_has_lost() -> None:
    request = go(checked(), Act(Action.GRANT), Actor.OWNER)
    with pytest.raises(FieldUnknown):
        granted_scope(request, replace(PERSONS, fields=("name",)))
