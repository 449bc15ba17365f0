"""What a key is."""

from __future__ import annotations

import re
from datetime import date

import pytest

from foundation.idempotency import is_key, key_parameter
from foundation.identifiers import CitizenId

PERSON = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a", True),
        ("!~", True),
        ("k" * 200, True),
        ("k" * 201, False),
        ("", False),
        ("a b", False),
        ("键", False),
    ],
)
def test_a_key_is_visible_ascii_as_the_interface_says(text: str, holds: bool) -> None:
    assert is_key(text) is holds
    assert (re.search(key_parameter(required=True)["schema"]["pattern"], text) is not None) is holds


def test_no_citizen_id_stands_in_a_key() -> None:
    assert not is_key(f"case-{PERSON}")
