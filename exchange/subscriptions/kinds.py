"""Kinds of events, what of a register makes them, and what of them a grant lets through: rules without database.

Events name fields that changed and never their values: who wants these asks, under a grant for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exchange.catalog.document import LICENCE_PREFIX
from exchange.registers.schemas import RegisterSchema

LICENCE_KINDS = (
    "licence-issued",
    "licence-suspended",
    "licence-expired",
    "licence-revoked",
    "licence-changed",
)
"""Kinds of licences. Revoked: rescinded, cancelled or revoked as a penalty; who wants to know which, asks."""

ADDED = "record-added"
"""Kind of who is new in a register; only who names it is told of it."""

REGISTER_KINDS: Mapping[str, tuple[str, ...]] = {
    "persons": (ADDED, "person-died", "address-changed", "person-changed"),
    "legal_entities": (
        ADDED,
        "entity-struck-off",
        "entity-restored",
        "entity-renamed",
        "representative-changed",
        "address-changed",
        "entity-changed",
    ),
    # When a licence is new to the register says nothing of when it was issued.
    "credentials": (ADDED, *LICENCE_KINDS[1:]),
}
"""Register → kinds of its changes in the order in which one change is told; the general one last."""

GENERAL = frozenset(kinds[-1] for kinds in (*REGISTER_KINDS.values(), LICENCE_KINDS))
"""Kinds that tell of every field, of which no more particular kind of the same subscription tells."""

_RANKS = {
    kind: rank for kinds in (*REGISTER_KINDS.values(), LICENCE_KINDS) for rank, kind in enumerate(kinds)
}

_ADDRESS = frozenset({"address", "registration_division", "residence_division", "province", "city"})
_STATES = {
    "02": "licence-suspended",
    "05": "licence-expired",
    "03": "licence-revoked",
    "04": "licence-revoked",
    "07": "licence-revoked",
}

Kinds = Mapping[str, Sequence[str]]
"""Kind → fields that it tells of, sorted; none where it tells of the subject as a whole."""


def kinds_of(topic: str) -> tuple[str, ...]:
    """Return the kinds of a topic: of a register by its name, of a type of licence by its resource."""
    return LICENCE_KINDS if topic.startswith(LICENCE_PREFIX) else REGISTER_KINDS.get(topic, ())


def licence_kind(state: str) -> str:
    """Return the kind of event that a new state (01 to 07, 99) of a licence makes."""
    return _STATES.get(state, "licence-changed")


def kinds_of_change(
    register: RegisterSchema,
    before: Mapping[str, Any],
    after: Mapping[str, Any] | None,
    *,
    returned: bool = False,
) -> dict[str, list[str]]:
    """Return what the change of a row makes, the general kind last; nothing where no field differs.

    Args:
        after: None: the register no longer has the subject.
        returned: it was gone in between; that is told, though no field may differ.
    """
    general = REGISTER_KINDS[register.name][-1]
    if after is None:
        return {"entity-struck-off" if register.name == "legal_entities" else general: []}
    changed = {name for name in register.fields if before.get(name) != after.get(name)}
    if not changed and not returned:
        return {}
    found: dict[str, set[str]] = {}
    if register.name == "persons":
        if "status" in changed and after.get("status") == "dead":
            found["person-died"] = changed & {"status", "died_on"}
        found["address-changed"] = changed & _ADDRESS
    elif register.name == "legal_entities":
        found["entity-renamed"] = changed & {"name"}
        found["representative-changed"] = changed & {"representative_name"}
        found["address-changed"] = changed & _ADDRESS
    elif "state" in changed:
        found[licence_kind(str(after.get("state")))] = {"state"}
    found[general] = changed
    kinds = {kind: sorted(fields) for kind, fields in found.items() if fields}
    if not returned:
        return kinds
    if register.name == "legal_entities":
        return {"entity-restored": [], **kinds}
    return {**kinds, general: []}


def told(kinds: Kinds, wanted: frozenset[str], granted: frozenset[str]) -> list[tuple[str, list[str]]]:
    """Return (kind, fields) that a subscription is told of a change, the particular kinds first.

    A kind that tells of fields of which none is granted is not told: that something changed there is a disclosure, too.

    Args:
        wanted: kinds of the subscription.
        granted: fields of its grant.
    """
    found: list[tuple[str, list[str]]] = []
    named: set[str] = set()
    for kind in sorted(wanted & set(kinds), key=lambda kind: (kind in GENERAL, _RANKS[kind])):
        fields = [name for name in kinds[kind] if name in granted and name not in named]
        if kinds[kind] and not fields:
            continue
        named.update(fields)
        found.append((kind, fields))
    return found
