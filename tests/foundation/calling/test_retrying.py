"""The rules of sending again."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.calling.retrying import Patience, may_repeat, retry_after, wait_before


@pytest.mark.parametrize(
    ("outcome", "repeatable", "expected"),
    [
        (httpx.Response(503), True, True),
        (httpx.Response(503), False, False),
        (httpx.Response(429), False, True),
        (httpx.Response(500), True, False),
        (httpx.Response(422), True, False),
        (httpx.ReadTimeout("late"), True, True),
        (httpx.ReadTimeout("late"), False, False),
        (httpx.ConnectError("no"), False, True),
        (httpx.RemoteProtocolError("cut"), False, False),
    ],
)
def test_only_what_does_no_harm_is_sent_again(
    outcome: httpx.Response | httpx.TransportError, repeatable: bool, expected: bool
) -> None:
    assert may_repeat(repeatable, outcome) is expected


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("3", 3.0),
        ("Wed, 01 Jan 2025 00:00:10 GMT", 10.0),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_both_forms_of_retry_after_are_read(told: str, seconds: float | None) -> None:
    reply = httpx.Response(503, headers={"Retry-After": told})
    assert retry_after(reply, 1735689600.0) == seconds


@given(st.integers(2, 8), st.none() | st.floats(0, 100), st.floats(0, 1))
def test_a_wait_is_at_least_what_was_asked_and_never_endless(
    attempt: int, asked: float | None, luck: float
) -> None:
    patience = Patience(attempts=6, first_wait=0.5, longest_wait=10)
    wait = wait_before(attempt, asked, patience, luck)
    if attempt > 6 or (asked or 0) > 10:
        assert wait is None
    else:
        assert wait is not None
        assert (asked or 0) <= wait <= (asked or 0) + min(10, 0.5 * 2 ** (attempt - 2))
