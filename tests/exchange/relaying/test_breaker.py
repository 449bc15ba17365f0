"""The circuit breaker: closed, open, half-open."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exchange.relaying.breaker import FAILURES, OPEN_SECONDS, Breaker, Circuit


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        assert breaker.admits(0.0)
        breaker.failed(0.0)
    return breaker


def test_it_opens_after_failures_one_after_another_only() -> None:
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.failed(0.0)
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.failed(0.0)
    assert breaker.state(0.0) is Circuit.CLOSED
    breaker.failed(0.0)
    assert breaker.state(0.0) is Circuit.OPEN
    assert not breaker.admits(OPEN_SECONDS - 0.1)


def test_half_open_lets_one_through_and_follows_how_it_went() -> None:
    breaker = opened()
    assert breaker.admits(OPEN_SECONDS)
    assert not breaker.admits(OPEN_SECONDS)
    breaker.failed(OPEN_SECONDS)
    assert not breaker.admits(OPEN_SECONDS + 1)
    assert breaker.admits(2 * OPEN_SECONDS)
    breaker.abandoned()
    assert breaker.admits(2 * OPEN_SECONDS)
    breaker.succeeded()
    assert breaker.state(2 * OPEN_SECONDS) is Circuit.CLOSED


@given(st.lists(st.sampled_from(["ok", "bad", "gone", "wait"]), max_size=60))
def test_it_is_never_stuck(events: list[str]) -> None:
    breaker, now = Breaker(), 0.0
    for event in events:
        if event == "wait":
            now += OPEN_SECONDS / 2
        elif breaker.admits(now):
            {"ok": breaker.succeeded, "bad": lambda: breaker.failed(now), "gone": breaker.abandoned}[event]()  # noqa: B023 -- called at once
    assert breaker.admits(now + OPEN_SECONDS)
