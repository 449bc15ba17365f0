"""The life of a key: next, active, retired; no step is skipped, none is gone back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.signing import Algorithm, KeyRecord, KeyState, KeyStateError
from foundation.signing.keys import activated, new_record, retired, settled

NOW = datetime(2025, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NEXT = new_record("a", Algorithm.ES256, "answer", KeyState.NEXT, NOW)
ACTIVE = activated(NEXT, NOW + DAY)
RETIRED = retired(ACTIVE, NOW + 2 * DAY)


def test_a_key_goes_from_next_to_active_to_retired_and_every_step_is_dated() -> None:
    assert (NEXT.state, NEXT.activated_at, NEXT.retired_at) == (KeyState.NEXT, None, None)
    assert (ACTIVE.state, ACTIVE.activated_at, ACTIVE.retired_at) == (KeyState.ACTIVE, NOW + DAY, None)
    assert replace(ACTIVE, state=KeyState.RETIRED, retired_at=NOW + 2 * DAY) == RETIRED
    assert new_record("a", Algorithm.ES256, "answer", KeyState.ACTIVE, NOW) == activated(NEXT, NOW)


@pytest.mark.parametrize(
    ("step", "record", "moment"),
    [
        (activated, ACTIVE, NOW + 2 * DAY),
        (activated, RETIRED, NOW + 3 * DAY),
        (activated, NEXT, NOW - DAY),
        (retired, NEXT, NOW + DAY),
        (retired, RETIRED, NOW + 3 * DAY),
        (retired, ACTIVE, NOW),
    ],
)
def test_no_other_step_is_allowed(step: object, record: KeyRecord, moment: datetime) -> None:
    assert callable(step)
    with pytest.raises(KeyStateError, match="a: "):
        step(record, moment)


def test_no_key_begins_as_retired_without_a_zone_or_without_a_purpose() -> None:
    with pytest.raises(KeyStateError, match="retired"):
        new_record("a", Algorithm.ES256, "answer", KeyState.RETIRED, NOW)
    with pytest.raises(ValueError, match="zone"):
        new_record("a", Algorithm.ES256, "answer", KeyState.NEXT, datetime(2025, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="purpose"):
        new_record("a", Algorithm.ES256, "", KeyState.NEXT, NOW)


records = st.lists(
    st.builds(
        lambda kid, purpose, days, state: replace(
            {KeyState.NEXT: NEXT, KeyState.ACTIVE: activated(NEXT, NOW + days * DAY), KeyState.RETIRED: RETIRED}[state],
            kid=kid,
            purpose=purpose,
        ),
        st.text("abcdef", min_size=1, max_size=3),
        st.sampled_from(["answer", "licence"]),
        st.integers(0, 3),
        st.sampled_from(KeyState),
    ),
    unique_by=lambda record: record.kid,
    max_size=8,
)  # fmt: skip


@given(records, st.randoms(use_true_random=False))
def test_of_several_that_say_they_are_active_the_one_activated_last_is(
    known: list[KeyRecord], random: Random
) -> None:
    result = {record.kid: record for record in settled(known)}
    for purpose in {record.purpose for record in known}:
        said = [r for r in known if r.purpose == purpose and r.state is KeyState.ACTIVE]
        left = [r for r in result.values() if r.purpose == purpose and r.state is KeyState.ACTIVE]
        assert len(left) == min(len(said), 1)
        if said:
            assert left[0].activated_at == max(r.activated_at for r in said if r.activated_at)
    for record in known:
        if record.state is not KeyState.ACTIVE:
            assert result[record.kid] == record
    # The order of the files in the folder decides nothing.
    random.shuffle(known)
    assert {record.kid: record for record in settled(known)} == result
