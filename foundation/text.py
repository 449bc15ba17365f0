"""Text that comes from outside: no control characters, no NUL, bounded, and no citizen ID in a free field."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from foundation.identifiers import contains_citizen_id

_UNCLEAN = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})


def is_clean(text: str) -> bool:
    """True without control characters, surrogates and unassigned code points (line breaks count as control).

    Unassigned ones of the ideographic planes pass: they are rare characters of names, newer than our tables.
    """
    if text.isprintable():
        return True
    return not any(
        unicodedata.category(c) in _UNCLEAN and not "\U00020000" <= c <= "\U0003fffd" for c in text
    )


def bare(text: str) -> str:
    """Return a text without what differs between two ways to write it: width of characters, blanks, case."""
    return "".join(unicodedata.normalize("NFKC", text).split()).casefold()


def _clean(text: str) -> str:
    if not is_clean(text):
        raise ValueError("control characters are not allowed")
    return text


def _without_citizen_id(text: str) -> str:
    if contains_citizen_id(text):
        raise ValueError("a citizen ID does not belong into this field")
    return text


CleanText = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_clean)]
"""1 to 300 characters, none of them a control character."""

FreeText = Annotated[CleanText, AfterValidator(_without_citizen_id)]
"""Clean text that is stored and shown, such as a case number: refuses to carry a citizen ID."""

Code = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$"),
    AfterValidator(_without_citizen_id),
]
"""An identifier of ours: resource, matter, client. It stands in records, so it cannot be a citizen ID."""
