"""What is known of a signing key besides its bytes, and the rules of its life: next → active → retired.

A key is published while it is *next*, so that verifiers know it before its first signature; *active*, it signs;
*retired*, it signs no more and stays published, so that what it signed can still be checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from foundation.signing.algorithms import Algorithm

CA_PURPOSE: Final = "ca"
"""Purpose of the key of the internal root certificate: it signs certificates only, never tokens."""
SM2_CA_PURPOSE: Final = "ca-sm2"
"""The same for certificates of SM2 keys, which have a root of their own."""
CA_PURPOSES: Final = frozenset({CA_PURPOSE, SM2_CA_PURPOSE})


class KeyState(StrEnum):
    """Where a key is in its life."""

    NEXT = "next"
    ACTIVE = "active"
    RETIRED = "retired"


class KeyStateError(ValueError):
    """A step in the life of a key that is not allowed; the message names the key and the step."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key's description; times carry their zone.

    Args:
        kid: its JWK thumbprint (RFC 7638), 43 characters.
        purpose: what it signs, such as `answer`; one key signs for one purpose only.
        activated_at: since when it signs; none before.
        retired_at: since when it signs no more; none before.
    """

    kid: str
    algorithm: Algorithm
    purpose: str
    state: KeyState
    created_at: datetime
    activated_at: datetime | None = None
    retired_at: datetime | None = None


def new_record(kid: str, algorithm: Algorithm, purpose: str, state: KeyState, now: datetime) -> KeyRecord:
    """Describe a key made at `now`, either next or at once active.

    Raises:
        KeyStateError: no key begins as retired.
        ValueError: `now` carries no zone, or the purpose is empty.
    """
    if now.tzinfo is None:
        raise ValueError("now carries no zone")
    if not purpose:
        raise ValueError("a key needs a purpose")
    if state is KeyState.RETIRED:
        raise KeyStateError(f"{kid}: no key begins as retired")
    record = KeyRecord(kid, algorithm, purpose, KeyState.NEXT, now)
    return activated(record, now) if state is KeyState.ACTIVE else record


def activated(record: KeyRecord, now: datetime) -> KeyRecord:
    """Return the record of a next key that signs from `now` on.

    Raises:
        KeyStateError: the key is not next, or `now` is before it was made.
    """
    if record.state is not KeyState.NEXT:
        raise KeyStateError(f"{record.kid}: {record.state} cannot become active")
    if now < record.created_at:
        raise KeyStateError(f"{record.kid}: cannot become active before it was made")
    return replace(record, state=KeyState.ACTIVE, activated_at=now)


def retired(record: KeyRecord, now: datetime) -> KeyRecord:
    """Return the record of an active key that signs no more from `now` on.

    Raises:
        KeyStateError: the key is not active, or `now` is before it became so.
    """
    if record.state is not KeyState.ACTIVE or record.activated_at is None:
        raise KeyStateError(f"{record.kid}: {record.state} cannot become retired")
    if now < record.activated_at:
        raise KeyStateError(f"{record.kid}: cannot retire before it became active")
    return replace(record, state=KeyState.RETIRED, retired_at=now)


def settled(records: Iterable[KeyRecord]) -> tuple[KeyRecord, ...]:
    """Return the records with at most one active key per purpose.

    A rotation writes the new active key before it retires the old one, so that there is never none; if it dies
    in between, two say that they are active. The one activated last is; the others count as retired since then.
    """
    known = tuple(records)
    latest: dict[str, KeyRecord] = {}
    for record in known:
        if record.state is KeyState.ACTIVE:
            rival = latest.get(record.purpose)
            if rival is None or _since(rival) < _since(record):
                latest[record.purpose] = record
    return tuple(
        retired(record, _since(latest[record.purpose])[0])
        if record.state is KeyState.ACTIVE and latest[record.purpose] is not record
        else record
        for record in known
    )


def _since(record: KeyRecord) -> tuple[datetime, str]:
    return record.activated_at or record.created_at, record.kid
