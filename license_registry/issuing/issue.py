"""Issuing a licence, told in order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from foundation.identity.principals import Principal
from foundation.language import _
from license_registry import tables
from license_registry.documents import due
from license_registry.documents.when import at_issue
from license_registry.issuing import requests
from license_registry.issuing.errors import KeyInvalid, KeyReused, LicenceInForce
from license_registry.issuing.holders import require_holders
from license_registry.issuing.make import Made, make
from license_registry.issuing.request import IssueRequest, Prepared, prepare
from license_registry.issuing.requests import Held, InForce, Key
from license_registry.issuing.seals import require_seals
from license_registry.ports import Registry
from license_registry.store.objects import ObjectExists
from license_registry.tables import Licence

__all__ = ["IssueRequest", "Issued", "Key", "issue"]


@dataclass(frozen=True, slots=True)
class Issued:
    """The licence, and whether this request made it (False: an equal one had been issued before)."""

    licence: Licence
    fresh: bool


async def issue(
    registry: Registry, caller: Principal, wanted: IssueRequest, now: datetime, key: Key | None = None
) -> Issued:
    """Issue a signed e-licence.

    1. Check type, whether the caller's authority issues it, fields, number, holder, presenter and dates.
    2. Look for an earlier answer to this key, then for a licence of this number in force: equal request → give it
       back; other request → refuse.
    3. Look whether the authority has the seals that the type asks for; ask the registers whether the holders are who
       they are said to be.
    4. Draw serial and status index; make identifier and credential; sign.
    5. Put the credential into the store. Dying after this leaves an object that nothing names. If the key is
       taken, by an object of before the database was restored, go to 2.
    6. Write licence, holders, key, event and that its document is due in one transaction. If another request was
       first, its licence counts: take the object back and go to 2. If the database fails in any other way, the object
       stays: whether the licence was committed is not known here, and an object without a licence does no harm, the
       reverse does. The document is drawn beside the service (`documents/at_issue.py`).

    Raises:
        LicenceTypeUnknown, IssuerNotEntitled, LicenceFieldsInvalid, NumberInvalid, HolderInvalid, HolderUnknown,
        HolderDiffers, HolderEnded, ValidityInvalid, LicenceInForce, KeyInvalid, KeyReused, SealLacking, StoreFull,
        StoreUnavailable: nothing was issued.
    """
    prepared = prepare(registry.types, registry.vault, caller, wanted, now)
    if wanted.number is None and key is None and not prepared.type.holders.one_in_force:
        raise KeyInvalid(_("a request that brings no number brings an Idempotency-Key"))
    asked = False
    while True:
        existing = await _existing(registry, prepared, key)
        if existing is not None:
            if key is not None:
                await requests.keep(registry.pool, key, prepared.digest, existing, now)
            licence = await tables.find(registry.pool, existing)
            assert licence is not None  # licences are never deleted
            return Issued(licence, fresh=False)
        if not asked:
            await require_seals(registry, caller.department, prepared.type, now)
            await require_holders(registry, prepared)
            asked = True
        serial, index = await tables.draw_numbers(registry.pool)
        made = make(registry, caller, prepared, serial, index, now)
        try:
            await asyncio.to_thread(registry.store.put, made.licence.object_key, made.lead_copy)
        except ObjectExists:
            continue
        try:
            await _keep(registry, prepared, made, key, now)
        except (asyncpg.UniqueViolationError, _TakenMeanwhile):
            await asyncio.to_thread(registry.store.delete, made.licence.object_key)
            continue
        return Issued(made.licence, fresh=True)


class _TakenMeanwhile(Exception):
    """A holder got another licence of the type while this one was made."""


async def _existing(registry: Registry, prepared: Prepared, key: Key | None) -> str | None:
    """Return the licence that this very request has got, by its identifier; or refuse what another stands against."""
    if key is not None:
        answered = await requests.find(registry.pool, key)
        if answered is not None:
            if answered.digest != prepared.digest:
                raise KeyReused(_("take a new Idempotency-Key for each request"))
            return answered.identifier
    codes = prepared.type.type_codes
    if prepared.wanted.number is not None:
        for found in await requests.in_force(registry.pool, codes, [prepared.wanted.number]):
            return require_equal(prepared, found)
    if prepared.type.holders.one_in_force:
        for held in await requests.held(registry.pool, codes, prepared.subjects):
            return require_same_holder(prepared, held)
    return None


def require_equal(prepared: Prepared, found: InForce) -> str:
    """Return the licence of this number, or raise LicenceInForce if it is that of another request."""
    if found.digest != prepared.digest:
        raise LicenceInForce(_("another licence of this number is in force"), pointer="/number")
    return found.identifier


def require_same_holder(prepared: Prepared, held: Held) -> str:
    """Return the licence that the holder has, or raise LicenceInForce if it is that of another request."""
    if held.digest != prepared.digest:
        pointer = next(holder.pointer for holder in prepared.holders if holder.subject == held.subject)
        raise LicenceInForce(
            _("the holder has a licence of this type in force"), pointer=f"{pointer}/holder_code"
        )
    return held.identifier


async def _keep(registry: Registry, prepared: Prepared, made: Made, key: Key | None, now: datetime) -> None:
    async with registry.pool.acquire() as connection, connection.transaction():
        if prepared.type.holders.one_in_force:
            await requests.lock_holders(connection, prepared.type.id, prepared.subjects)
            if await requests.held(connection, prepared.type.type_codes, prepared.subjects):
                raise _TakenMeanwhile
        await tables.add(connection, made.licence, made.event, made.co_holders)
        if at_issue(registry, prepared.type):
            await due.add(connection, made.licence, now)
        if key is not None:
            await requests.add(connection, key, prepared.digest, made.licence.identifier, now)
