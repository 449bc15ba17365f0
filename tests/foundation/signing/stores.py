"""Key stores of the tests: their master key, their clock, and looks into them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from foundation.signing import (
    Algorithm,
    BadJws,
    KeyStore,
    sign_compact,
    verify_compact,
)

MASTER = bytes(range(32))
NOW = datetime(2025, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ALL = frozenset(Algorithm)

each_algorithm = pytest.mark.parametrize("algorithm", list(Algorithm))


def states(store: KeyStore, purpose: str = "answer") -> list[str]:
    return sorted(record.state for record in store.records(purpose))


def reopened(store: KeyStore) -> KeyStore:
    return KeyStore(store.directory, MASTER)


def token(store: KeyStore) -> str:
    return sign_compact(store.signer("answer"), b"{}", "t")


def verifies(store: KeyStore, text: str) -> bool:
    try:
        verify_compact(text, store.verification_keys("answer"), "t", ALL)
    except BadJws:
        return False
    return True
