"""Each change of a licence as a signed statement: who did what, when and why, and which change came before."""

from __future__ import annotations

import hashlib
import uuid
from datetime import date, datetime
from typing import Any

from foundation.signing import KeyStore, canonical_json, encode_base64url, sign_compact
from license_registry.lifecycle.states import Actor, Operation, State
from license_registry.lifecycle.status_lists import PURPOSE

TYPE = "licence-change+jwt"


def sign_change(
    keys: KeyStore,
    *,
    issuer: str,
    change_id: uuid.UUID,
    identifier: str,
    sequence: int,
    previous: bytes | None,
    operation: Operation,
    actor: Actor,
    client: str | None,
    department: str,
    before: State,
    after: State,
    reason: str,
    now: datetime,
    description: str | None = None,
    until: date | None = None,
    successor: str | None = None,
    transferred_to: str | None = None,
) -> str:
    """Return the statement as compact JWS by the key that the registry signs credentials with.

    Args:
        sequence: counts the changes of this identifier, from 1.
        previous: SHA-256 of the statement before; None for the first. So that none can be left out later.
        client: id of the system that asked; None for a person, whose licence it is.
    """
    facts: dict[str, Any] = {
        "iss": issuer,
        "iat": int(now.timestamp()),
        "jti": str(change_id),
        "licence_identifier": identifier,
        "sequence": sequence,
        "previous": None if previous is None else encode_base64url(previous),
        "operation": operation.value,
        "actor": actor.value,
        "client": client,
        "department": department or None,
        "state_before": before.value,
        "state_after": after.value,
        "reason": reason,
    }
    further = {
        "state_description": description,
        "suspended_until": None if until is None else until.isoformat(),
        "replaced_by": successor,
        "transferred_to": transferred_to,
    }
    facts |= {name: value for name, value in further.items() if value is not None}
    return sign_compact(keys.signer(PURPOSE), canonical_json(facts), TYPE)


def digest(statement: str) -> bytes:
    """Return what the next statement names as `previous`: SHA-256 of the compact JWS."""
    return hashlib.sha256(statement.encode("ascii")).digest()
