"""Asking in parallel under one deadline: who answers late is late, and holds up nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import pytest

from exchange.matters.matter import AnyOf, Claims, Commitment, Evidence, Material
from exchange.plans.asking import Answer, Asked, ask_all
from exchange.plans.judging import Judged, Reason, State, compiled, judged
from exchange.plans.questions import Bundle, Leaf
from foundation.errors import DomainError


class SourceDown(DomainError):
    """Stands for whatever a source outside fails with; `exchange` knows no such code."""

    code = "not-found"


class Sources:
    """Answers by the first claim's name, each after a while."""

    def __init__(self, waits: Mapping[str, float], results: Mapping[str, str]) -> None:
        self.waits = waits
        self.results = results
        self.asked: list[str] = []
        self.cancelled: list[str] = []

    async def __call__(self, bundle: Bundle) -> Answer:
        name = next(iter(bundle.claims))
        self.asked.append(name)
        try:
            await asyncio.sleep(self.waits.get(name, 0))
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        if name not in self.results:
            raise SourceDown("gone")
        return Answer(dict.fromkeys(bundle.claims, self.results[name]), f"{name}.jws", name)


def claim(name: str) -> Claims:
    # Each of a resource of its own, so that none share a question.
    return Claims(name, "applicant", {name: "x"})


def plan(sources: Sources, seconds: float, *trees: Evidence) -> tuple[dict[str, Judged | None], Asked, float]:
    made = compiled(
        [Material(f"m{n}", "m", True, False, None, None, tree) for n, tree in enumerate(trees)],
        frozenset({"truthful"}),
    )
    leaves = {}
    for number, asking in enumerate(made.asking):
        assert isinstance(asking, Claims)
        leaves[number] = Leaf(number, "verify", asking.resource, "applicant", asking.claims)
    asked = Asked()
    began = time.monotonic()
    asyncio.run(ask_all(made, leaves, asked, sources, seconds, frozenset(), frozenset()))
    return judged(made, asked.known), asked, time.monotonic() - began


def test_all_are_asked_at_once() -> None:
    names = [f"c{n}" for n in range(40)]
    sources = Sources(dict.fromkeys(names, 0.1), dict.fromkeys(names, "match"))
    found, asked, took = plan(sources, 3, *(claim(name) for name in names))
    assert {each.state for each in found.values() if each} == {State.SETTLED}
    assert len(asked.statements) == 40
    assert took < 40 * 0.1 / 2


def test_who_answers_late_is_late_and_the_others_stand() -> None:
    sources = Sources({"slow": 60}, {"slow": "match", "quick": "match"})
    found, _asked, took = plan(sources, 0.2, claim("slow"), claim("quick"))
    assert found["m0"] == Judged(State.TO_BRING, (Reason.LATE,))
    assert found["m1"] == Judged(State.SETTLED, (), (1,))
    assert sources.cancelled == ["slow"]
    assert took < 10


def test_an_alternative_is_asked_before_the_deadline_when_the_first_does_not_answer() -> None:
    sources = Sources({"slow": 60}, {"slow": "match", "quick": "match"})
    found, _asked, _took = plan(sources, 0.4, AnyOf((claim("slow"), claim("quick"))))
    assert found["m0"] == Judged(State.SETTLED, (), (1,))
    assert sources.asked == ["slow", "quick"]


def test_an_alternative_is_not_asked_where_the_first_settles() -> None:
    sources = Sources({}, {"first": "match", "second": "match"})
    found, _asked, _took = plan(sources, 3, AnyOf((claim("first"), claim("second"))))
    assert found["m0"] == Judged(State.SETTLED, (), (0,))
    assert sources.asked == ["first"]


def test_a_source_that_fails_is_a_reason_and_no_error() -> None:
    found, asked, _took = plan(Sources({}, {}), 3, AnyOf((claim("gone"), Commitment("truthful"))))
    assert found["m0"] == Judged(State.BY_COMMITMENT, (Reason.SOURCE_FAILED,), (), ("truthful",))
    assert asked.refusals == {0: "not-found"}


def test_what_is_no_refusal_ends_the_plan() -> None:
    class Broken(Sources):
        async def __call__(self, bundle: Bundle) -> Answer:
            await super().__call__(bundle)
            raise ConnectionError("no database")

    sources = Broken({"slow": 60}, {"first": "match", "slow": "match"})
    with pytest.raises(ConnectionError):
        plan(sources, 3, claim("first"), claim("slow"))
    assert sources.cancelled == ["slow"]
