"""Where a subject is, for grants that are limited to divisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def division_of(register: str, content: Mapping[str, Any]) -> str | None:
    """Return the division (6 digits) where a subject of a register lives or is registered; None where none is known.

    A person is where they live, else where their household is registered. A legal entity is where its code says that
    it was registered (GB 32100: characters 3 to 8), an old registration number begins with it. A credential is where
    it says that it is.

    Args:
        register: its name, such as `persons`.
        content: the clear part of the subject's row.
    """
    if register == "persons":
        return content.get("residence_division") or content.get("registration_division")
    if register == "legal_entities":
        if code := content.get("code"):
            return str(code)[2:8]
        number = content.get("registration_number")
        return str(number)[:6] if number else None
    return content.get("division")
