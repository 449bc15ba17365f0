"""Salted commitments."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.ledger import commit, new_salt


def test_known_value() -> None:
    expected = hmac.new(bytes(range(32)), b'{"a":1}', hashlib.sha256).digest()
    assert commit(bytes(range(32)), b'{"a":1}') == expected
    assert len(expected) == 32


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_binds_record_and_salt(one: bytes, two: bytes) -> None:
    salt, other = new_salt(), new_salt()
    assert (commit(salt, one) == commit(salt, two)) == (one == two)
    assert commit(salt, one) != commit(other, one)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_salt_length(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        commit(bytes(length), b"{}")
