"""Issuing a licence, told in order."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import asyncpg

from foundation.civil import day_begins
from foundation.identifiers import CitizenId, ElicenceIdentifier, IdentifierError, Uscc
from foundation.identity.principals import Principal
from foundation.language import _
from foundation.signing import canonical_json
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.catalog.types import LicenceType, require_type
from license_registry.credentials import sd_jwt
from license_registry.issuing.errors import (
    HolderInvalid,
    IssuerNotEntitled,
    LicenceInForce,
    ValidityInvalid,
)
from license_registry.lifecycle.states import State
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.ports import Registry
from license_registry.store.objects import ObjectExists
from license_registry.tables import Licence


@dataclass(frozen=True, slots=True)
class IssueRequest:
    """What an issuing authority wants issued.

    Args:
        number: licence number (证照编号), unique among the licences of a type that are in force.
        fields: fields of the licence type.
        presenter: citizen ID of the person who may present the licence, such as the legal representative.
    """

    licence_type: str
    number: str
    fields: Mapping[str, Any]
    valid_from: date
    valid_until: date | None
    presenter: str | None


@dataclass(frozen=True, slots=True)
class Issued:
    """The licence, and whether this request made it (False: an equal one had been issued before)."""

    licence: Licence
    fresh: bool


async def issue(registry: Registry, caller: Principal, wanted: IssueRequest, now: datetime) -> Issued:
    """Issue a signed e-licence.

    1. Check type, whether the caller's authority issues it, fields, holder, presenter and dates.
    2. Look for a licence of this number in force: equal request → give it back; other request → refuse.
    3. Draw serial and status index; make identifier and credential; sign.
    4. Put the credential into the store. Dying after this leaves an object that nothing names. If the key is
       taken, by an object of before the database was restored, go to 2.
    5. Write licence and event in one transaction. If another request was first, its licence counts: take the
       object back and go to 2. If the database fails in any other way, the object stays: whether the licence was
       committed is not known here, and an object without a licence does no harm, the reverse does.

    Raises:
        LicenceTypeUnknown, IssuerNotEntitled, LicenceFieldsInvalid, HolderInvalid, ValidityInvalid,
        LicenceInForce, StoreFull, StoreUnavailable: nothing was issued.
    """
    licence_type = require_type(registry.types, wanted.licence_type)
    if not licence_type.may_be_issued_by(caller.department):
        raise IssuerNotEntitled(_("the type names the authorities that issue it"), pointer="/licence_type")
    licence_type.require_valid(wanted.fields)
    holder = _holder(registry, licence_type, str(wanted.fields["holder_code"]))
    presenter = _presenter(registry, wanted.presenter)
    if wanted.valid_until is not None and wanted.valid_until < wanted.valid_from:
        raise ValidityInvalid(_("it would end before it begins"), pointer="/valid_until")
    digest = registry.vault.fingerprint(_canonical(wanted, caller))

    while True:
        existing = await tables.find_in_force(registry.pool, licence_type.type_code, wanted.number)
        if existing is not None:
            if existing.request_digest != digest:
                raise LicenceInForce(_("another licence of this number is in force"), pointer="/number")
            return Issued(existing, fresh=False)
        serial, index = await tables.draw_numbers(registry.pool)
        identifier = str(
            ElicenceIdentifier.compute(licence_type.type_code, caller.department, f"{now:%Y}{serial:010d}", 1)
        )
        credential = _credential(registry, licence_type, caller, wanted, identifier, index, now)
        data = credential.encode("ascii")
        key = f"licences/{identifier}.sdjwt"
        licence = Licence(
            identifier=identifier,
            type_code=licence_type.type_code,
            number=wanted.number,
            issuer=caller.department,
            holder=holder,
            presenter=presenter,
            state=State.VALID,
            state_reason=None,
            state_since=now,
            valid_from=wanted.valid_from,
            valid_until=wanted.valid_until,
            issued_at=now,
            status_index=index,
            object_key=key,
            object_sha256=hashlib.sha256(data).digest(),
            request_digest=digest,
            sealed=registry.vault.seal(canonical_json(dict(wanted.fields)), identifier.encode()),
        )
        event = happened(
            "issued",
            identifier,
            caller,
            now,
            type_code=licence_type.type_code,
            holder=holder.hex(),
            object_sha256=licence.object_sha256.hex(),
        )
        # What leaves this room sealed leaves it sealed in the store too: the lead copy names people.
        try:
            await asyncio.to_thread(registry.store.put, key, registry.vault.seal(data, key.encode()))
        except ObjectExists:
            continue
        try:
            async with registry.pool.acquire() as connection:
                await tables.add(connection, licence, event)
        except asyncpg.UniqueViolationError:
            await asyncio.to_thread(registry.store.delete, key)
            continue
        return Issued(licence, fresh=True)


def _holder(registry: Registry, licence_type: LicenceType, code: str) -> bytes:
    try:
        if licence_type.holder_code_type == "111":
            return registry.vault.blind_index("citizen-id", CitizenId.parse(code).reveal())
        return registry.vault.blind_index("uscc", str(Uscc.parse(code)))
    except IdentifierError as error:
        raise HolderInvalid(
            _("the code of the holder is not valid: {reason}"),
            pointer="/fields/holder_code",
            reason=error.code,
        ) from error


def _presenter(registry: Registry, citizen_id: str | None) -> bytes | None:
    if citizen_id is None:
        return None
    try:
        return registry.vault.blind_index("citizen-id", CitizenId.parse(citizen_id).reveal())
    except IdentifierError as error:
        raise HolderInvalid(
            _("the citizen ID of the presenter is not valid: {reason}"),
            pointer="/presenter",
            reason=error.code,
        ) from error


def _canonical(wanted: IssueRequest, caller: Principal) -> bytes:
    return canonical_json(
        {
            "issuer": caller.department,
            "licence_type": wanted.licence_type,
            "number": wanted.number,
            "fields": dict(wanted.fields),
            "valid_from": wanted.valid_from.isoformat(),
            "valid_until": None if wanted.valid_until is None else wanted.valid_until.isoformat(),
            "presenter": wanted.presenter,
        }
    )


def _credential(
    registry: Registry,
    licence_type: LicenceType,
    caller: Principal,
    wanted: IssueRequest,
    identifier: str,
    index: int,
    now: datetime,
) -> str:
    claims: dict[str, Any] = {
        "iss": registry.issuer,
        "iat": int(now.timestamp()),
        "nbf": int(day_begins(wanted.valid_from).timestamp()),
        "vct": licence_type.vct,
        "status": registry.status_lists.reference(index),
        "licence_identifier": identifier,
        "licence_name": licence_type.name,
        "licence_number": wanted.number,
        "issuer_code": caller.department,
        "valid_from": wanted.valid_from.isoformat(),
        "valid_until": None if wanted.valid_until is None else wanted.valid_until.isoformat(),
    }
    if wanted.valid_until is not None:
        claims["exp"] = int(day_begins(wanted.valid_until).timestamp()) + 24 * 3600
    always = {name: wanted.fields[name] for name in licence_type.always_disclosed if name in wanted.fields}
    hidden = {
        name: value for name, value in wanted.fields.items() if name not in always and value is not None
    }
    return sd_jwt.issue(registry.keys.signer(PURPOSE), claims | always, hidden)
