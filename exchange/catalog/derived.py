"""Fields that no register row has, and that can be compared and granted all the same: what is found out elsewhere.

They belong to every resource whose subjects are of a kind, and are never disclosed: a query cannot name them.
"""

from __future__ import annotations

from collections.abc import Mapping

LICENCES = "licences"
REPRESENTS = "represents"
ENTRIES = "entries"

TITLES: Mapping[str, str] = {
    LICENCES: "持有的证照 Licences that the subject holds",
    REPRESENTS: "任法定代表人的单位 Entities that the subject represents",
    ENTRIES: "登记事项 Entries about the subject, such as penalties",
}

_BY_SUBJECT_KIND: Mapping[str, frozenset[str]] = {
    "citizen-id": frozenset({LICENCES, REPRESENTS, ENTRIES}),
    "uscc": frozenset({LICENCES, ENTRIES}),
    "licence": frozenset({ENTRIES}),
}


def derived_fields(subject_kind: str) -> frozenset[str]:
    """Return the derived fields of resources about subjects of a kind."""
    return _BY_SUBJECT_KIND.get(subject_kind, frozenset())
