"""The `Idempotency-Key` header: what a key is, and how the description of an interface tells of it."""

from __future__ import annotations

import re
from typing import Any, Final

from foundation.identifiers import contains_citizen_id

KEY: Final = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)
HEADER: Final = "idempotency-key"


def is_key(text: str) -> bool:
    """True for a key: 1 to 200 visible ASCII characters in which no citizen ID stands, since keys are kept in clear."""
    return KEY.fullmatch(text) is not None and not contains_citizen_id(text)


def key_parameter(*, required: bool, new_for_each: str = "request") -> dict[str, Any]:
    """Return the header as a parameter of OpenAPI."""
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": required,
        "description": f"1 to 200 visible ASCII characters, new for each {new_for_each}",
        "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
    }
