"""What is made of each material from the answers known so far, and which questions are worth asking."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.matters.matter import AllOf, AnyOf, Claims, Commitment, Evidence, Material, OtherMaterial
from exchange.plans.errors import PlanMalformed
from exchange.plans.judging import Compiled, Judged, Reason, State, Verdict, compiled, judged, wanted

YES = Verdict(State.SETTLED)
NO = Verdict(State.TO_BRING, Reason.MISMATCH)
LATE = Verdict(State.TO_BRING, Reason.LATE)


def claim(name: str) -> Claims:
    return Claims("persons-basic", "applicant", {name: "x"})


def material(evidence: Evidence | None, name: str = "a") -> Material:
    return Material(name, name, True, False, None, None, evidence)


def plan(*materials: Material) -> Compiled:
    return compiled(materials, frozenset({"truthful"}))


def state(found: dict[str, Judged | None], name: str = "a") -> State | None:
    outcome = found[name]
    return None if outcome is None else outcome.state


def test_alternatives_are_asked_one_after_the_other() -> None:
    made = plan(material(AnyOf((claim("p"), claim("q"), Commitment("truthful")))))
    assert wanted(made, {}) == {0}
    assert wanted(made, {0: YES}) == set()
    assert wanted(made, {0: NO}) == {1}
    assert state(judged(made, {0: NO})) is None
    assert judged(made, {0: NO, 1: NO})["a"] == Judged(
        State.BY_COMMITMENT, (Reason.MISMATCH,), (), ("truthful",)
    )
    assert state(judged(made, {0: NO, 1: NO}, signed={"truthful"})) is State.SETTLED


def test_a_slow_alternative_does_not_hold_up_the_next_but_counts_when_it_comes() -> None:
    made = plan(material(AnyOf((claim("p"), claim("q")))))
    assert wanted(made, {}, slow={0}) == {0, 1}
    assert state(judged(made, {1: YES}, slow={0})) is State.SETTLED
    assert state(judged(made, {1: NO}, slow={0})) is None
    assert judged(made, {1: NO, 0: YES}, slow={0})["a"] == Judged(State.SETTLED, (), (0,))


def test_all_of_them_are_asked_at_once_and_given_up_at_the_first_that_fails() -> None:
    made = plan(material(AllOf((claim("p"), claim("q"), Commitment("truthful")))))
    assert wanted(made, {}) == {0, 1}
    assert judged(made, {0: NO})["a"] == Judged(State.TO_BRING, (Reason.MISMATCH,))
    assert wanted(made, {0: NO}) == set()
    assert judged(made, {0: YES, 1: YES})["a"] == Judged(State.BY_COMMITMENT, (), (0, 1), ("truthful",))


def test_a_material_stands_for_another() -> None:
    made = plan(material(OtherMaterial("b")), material(claim("p"), "b"))
    assert state(judged(made, {})) is None
    assert state(judged(made, {0: YES})) is State.SETTLED
    assert state(judged(made, {0: NO})) is State.TO_BRING
    found = judged(made, {}, brought={"b"})
    assert (state(found), state(found, "b")) == (State.SETTLED, State.BROUGHT)
    assert wanted(made, {}, brought={"b"}) == set()


def test_a_long_chain_of_materials_is_judged_without_recursion() -> None:
    chain = [material(OtherMaterial(f"m{n + 1}"), f"m{n}") for n in range(5000)]
    made = plan(*chain, material(claim("p"), "m5000"))
    assert state(judged(made, {0: YES}), "m0") is State.SETTLED


def test_materials_in_a_circle_are_refused() -> None:
    with pytest.raises(PlanMalformed):
        plan(material(OtherMaterial("b")), material(OtherMaterial("a"), "b"))


def test_a_commitment_without_a_template_cannot_be_had() -> None:
    assert judged(plan(material(Commitment("unheard-of"))), {})["a"] == Judged(
        State.TO_BRING, (Reason.NOT_ASKABLE,)
    )


leaf = st.integers(0, 10**6).map(lambda n: claim(f"c{n}")) | st.just(Commitment("truthful"))
trees: Any = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4).map(lambda of: AnyOf(tuple(of)))
        | st.lists(inner, min_size=1, max_size=4).map(lambda of: AllOf(tuple(of)))
    ),
    max_leaves=12,
)


@given(trees, st.data())
def test_asking_only_what_is_wanted_comes_to_the_same_as_asking_everything(tree: Any, data: Any) -> None:
    made = plan(material(tree), material(OtherMaterial("a"), "b"))
    answers = {number: data.draw(st.sampled_from([YES, NO, LATE])) for number in range(len(made.asking))}
    known: dict[int, Verdict] = {}
    while asking := wanted(made, known):
        number = data.draw(st.sampled_from(sorted(asking)))
        known[number] = answers[number]
    found, everything = judged(made, known), judged(made, answers)
    assert state(found) is state(everything) is state(found, "b")
    assert state(found) is not None


@given(trees)
def test_nothing_is_wanted_twice_and_an_open_material_wants_something(tree: Any) -> None:
    made = plan(material(tree))
    known: dict[int, Verdict] = {}
    for _turn in range(len(made.asking) + 1):
        asking = wanted(made, known)
        assert not asking & set(known)
        if not asking:
            break
        known |= dict.fromkeys(asking, NO)
    assert state(judged(made, known)) is not None
