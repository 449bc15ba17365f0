"""The state machine of share requests: every line, and nothing but the lines."""

from __future__ import annotations

import itertools

import pytest

from exchange.requests.states import (
    ENDS,
    LATE,
    STEPS,
    TRANSITIONS,
    Action,
    Actor,
    RequestActorWrong,
    RequestStateWrong,
    State,
    next_state,
)

LAWFUL = {
    (start, line.action, actor, end)
    for line in TRANSITIONS
    for start in line.starts
    for actor in line.actors
    for end in line.ends
}


def test_nothing_but_the_lines_is_allowed() -> None:
    for start, action, actor in itertools.product([None, *State], Action, Actor):
        for end in State:
            if (start, action, actor, end) in LAWFUL:
                assert next_state(start, action, actor, end) is end
            else:
                with pytest.raises((RequestStateWrong, RequestActorWrong)):
                    next_state(start, action, actor, end)


def test_every_state_is_reached_and_its_end_is_an_end() -> None:
    reached = {end for _start, _action, _actor, end in LAWFUL}
    assert reached == set(State)
    starts = {start for start, *_rest in LAWFUL}
    assert starts.isdisjoint(ENDS)
    assert starts | ENDS == {None, *State}


def test_a_requester_never_grants_and_an_owner_never_decides() -> None:
    grants = {Action.GRANT, Action.GRANT_IN_PART, Action.PROVIDE, Action.DECIDE_FOR_REQUESTER}
    assert not [line for line in TRANSITIONS if line.action in grants and Actor.REQUESTER in line.actors]
    decides = {Action.CHECK, Action.RETURN, Action.DECIDE_FOR_OWNER, Action.DECIDE_FOR_REQUESTER}
    assert not [line for line in TRANSITIONS if line.action in decides and Actor.OWNER in line.actors]


def test_an_action_that_may_end_in_several_states_must_say_in_which() -> None:
    with pytest.raises(RequestStateWrong):
        next_state(State.DISPUTED, Action.DECIDE_FOR_OWNER, Actor.AUTHORITY)


def test_every_step_that_has_a_term_has_somebody_who_is_late() -> None:
    assert set(STEPS.values()) == set(LATE)
    assert set(STEPS).isdisjoint(ENDS)
