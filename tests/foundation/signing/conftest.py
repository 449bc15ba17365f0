"""What the tests of key stores share."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.signing import (
    KeyStore,
)
from tests.foundation.signing.stores import (
    MASTER,
)


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys", MASTER)
