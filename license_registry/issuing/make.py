"""Making a licence of a request that holds: identifier, signed credential, row, event. No database, no store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.hashes import SM3, Hash

from foundation.civil import day_begins
from foundation.identifiers import ElicenceIdentifier
from foundation.identity.principals import Principal
from foundation.signing import Signer, canonical_json
from license_registry.audit.event import happened
from license_registry.credentials import sd_jwt
from license_registry.issuing.request import Prepared
from license_registry.lifecycle.states import State
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.ports import Registry
from license_registry.tables import Event, Licence


@dataclass(frozen=True, slots=True)
class Made:
    """A licence before anything of it is kept.

    Args:
        lead_copy: its credential, sealed as it goes to the store.
        co_holders: all holders but the first.
    """

    licence: Licence
    event: Event
    lead_copy: bytes
    co_holders: tuple[bytes, ...]


def make(
    registry: Registry,
    caller: Principal,
    prepared: Prepared,
    serial: int,
    index: int,
    now: datetime,
    signer: Signer | None = None,
    replaces: Licence | None = None,
) -> Made:
    """Make a licence with its own serial and its own index in the status lists.

    Args:
        replaces: the version before: the new one keeps its serial, and its own version is the next.
        signer: of `PURPOSE`, for callers that make many; None: the active one.
    """
    wanted, type_ = prepared.wanted, prepared.type
    number = wanted.number
    if number is None:
        assert wanted.division is not None
        number = type_.number.make(wanted.division, prepared.issued_on.year, serial)
    text, version, suffix = f"{now:%Y}{serial:010d}", 1, ""
    if replaces is not None:
        before = ElicenceIdentifier.parse(replaces.identifier)
        # Who died before the database knew has left an object; the next try must not meet it.
        text, version, suffix = before.serial, before.version + 1, f"-{index}"
    identifier = str(ElicenceIdentifier.compute(type_.type_code, caller.department, text, version))
    credential = _credential(registry, signer, caller, prepared, identifier, number, index, now)
    data = credential.encode("ascii")
    key = f"licences/{identifier}{suffix}.sdjwt"
    sm3 = Hash(SM3())
    sm3.update(data)
    licence = Licence(
        identifier=identifier,
        type_code=type_.type_code,
        number=number,
        issuer=caller.department,
        holder=prepared.holders[0].subject,
        presenter=prepared.presenter,
        state=State.VALID,
        state_reason=None,
        state_since=now,
        valid_from=wanted.valid_from,
        valid_until=prepared.valid_until,
        issued_at=now,
        status_index=index,
        object_key=key,
        object_sha256=hashlib.sha256(data).digest(),
        request_digest=prepared.digest,
        sealed=registry.vault.seal(canonical_json(dict(wanted.fields)), identifier.encode()),
        type_version=type_.version,
        issuer_name=wanted.issuer_name,
        division=wanted.division,
        issued_on=prepared.issued_on,
        first_issued_on=prepared.first_issued_on,
        related_identifier=None if replaces is None else replaces.identifier,
        origin=wanted.origin,
        object_sm3=sm3.finalize(),
    )
    event = happened(
        "issued",
        identifier,
        caller,
        now,
        type_code=licence.type_code,
        type_version=licence.type_version,
        holder=licence.holder.hex(),
        object_sha256=licence.object_sha256.hex(),
        object_sm3=(licence.object_sm3 or b"").hex(),
        origin=licence.origin,
    )
    # What leaves this room sealed leaves it sealed in the store too: the lead copy names people.
    lead_copy = registry.vault.seal(data, key.encode())
    return Made(licence, event, lead_copy, tuple(holder.subject for holder in prepared.holders[1:]))


def _credential(
    registry: Registry,
    signer: Signer | None,
    caller: Principal,
    prepared: Prepared,
    identifier: str,
    number: str,
    index: int,
    now: datetime,
) -> str:
    wanted, type_, valid_until = prepared.wanted, prepared.type, prepared.valid_until
    claims: dict[str, Any] = {
        "iss": registry.issuer,
        "iat": int(now.timestamp()),
        "nbf": int(day_begins(wanted.valid_from).timestamp()),
        "vct": type_.vct,
        "status": registry.status_lists.reference(index),
        "licence_identifier": identifier,
        "licence_name": type_.name,
        "licence_number": number,
        "issuer_code": caller.department,
        "valid_from": wanted.valid_from.isoformat(),
        "valid_until": None if valid_until is None else valid_until.isoformat(),
    }
    if valid_until is not None:
        claims["exp"] = int(day_begins(valid_until).timestamp()) + 24 * 3600
    if wanted.origin == "digitised":
        claims["origin"] = wanted.origin
    always = {name: wanted.fields[name] for name in type_.always_disclosed if name in wanted.fields}
    hidden = {
        name: value for name, value in wanted.fields.items() if name not in always and value is not None
    }
    return sd_jwt.issue(signer or registry.keys.signer(PURPOSE), claims | always, hidden)
