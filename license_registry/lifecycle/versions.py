"""A new version of a licence: changed (09), renewed (02) or transferred in (08), told in order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from foundation.civil import civil_date
from foundation.errors import DomainError, NotFound
from foundation.identifiers import ElicenceIdentifier
from foundation.identity.principals import Principal
from foundation.language import _
from license_registry import tables
from license_registry.annual_reports.tables import hand_on
from license_registry.catalog.types import type_of
from license_registry.documents import due
from license_registry.documents.when import at_issue
from license_registry.issuing import requests
from license_registry.issuing.errors import HolderInvalid, LicenceInForce
from license_registry.issuing.holders import require_holders
from license_registry.issuing.make import Made, make
from license_registry.issuing.request import IssueRequest, Prepared, prepare
from license_registry.issuing.seals import require_seals
from license_registry.lifecycle import tables as life_tables
from license_registry.lifecycle.change import Wanted, actor_of, apply, locked, require_unreplaced
from license_registry.lifecycle.rules import rules_of
from license_registry.lifecycle.states import Operation, OperationNotAllowed, next_state
from license_registry.lifecycle.tables import Life
from license_registry.ports import Registry
from license_registry.tables import Licence

MOST_VERSIONS = 999


@dataclass(frozen=True, slots=True)
class VersionRequest:
    """What is to be another in the new version; what is not named stays as it is.

    Args:
        operation: change, renew or transfer in.
        fields: those that change; one that is None is left out from now on.
        valid_from: of a renewal without it: today, since the old version ends with it; its term counts from the day
            after the old one's last.
        presenter: citizen ID of who may present it from now on.
        number: only a transfer in may bring another one.
    """

    operation: Operation
    reason: str
    fields: Mapping[str, Any]
    valid_from: date | None = None
    valid_until: date | None = None
    presenter: str | None = None
    number: str | None = None
    division: str | None = None
    issuer_name: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """The new version, and whether this request made it (False: an equal one had)."""

    licence: Licence
    life: Life
    fresh: bool


async def new_version(
    registry: Registry, caller: Principal, identifier: str, wanted: VersionRequest, now: datetime
) -> Version:
    """Make a new version of a licence: its serial, the next version, and the old one named in it (关联证照标识).

    1. See as whom the caller acts, and ask the state machine.
    2. Make of the old fields and the new ones a request to issue, and check it like any other: fields, number, dates,
       the holder by the registers. The holders stay: another holder gets another licence.
    3. If the old version has been replaced, by an equal request, that is the answer.
    4. Make and sign the credential; put it into the store, under a key that no try before has used. Dying after this
       leaves an object that nothing names.
    5. In one transaction: lock the old version, ask again, sign its end, write the new one. If somebody else was first
       the object is taken back, and we go to 1.

    Raises:
        NotFound, IssuerMismatch, ActorNotEntitled, OperationNotAllowed, LicenceReplaced, LicenceInForce, and whatever
        issuing refuses: nothing has changed.
    """
    while True:
        old = await tables.find(registry.pool, identifier)
        if old is None:
            raise NotFound(_("no such licence"))
        life = await life_tables.life_of(registry.pool, identifier)
        actor = actor_of(caller, (), old, life)
        prepared = _prepared(registry, caller, old, wanted, now)
        replacing = await _replacing(registry, life, prepared)
        if replacing is not None:
            return replacing
        require_unreplaced(life)
        rules = rules_of(registry.types, old.type_code)
        next_state(old.state, wanted.operation, None, actor, operations=rules.operations)
        if ElicenceIdentifier.parse(identifier).version >= MOST_VERSIONS:
            raise OperationNotAllowed(_("a licence has at most {most} versions"), most=MOST_VERSIONS)
        await require_seals(registry, caller.department, prepared.type, now)
        await require_holders(registry, prepared)
        serial, index = await tables.draw_numbers(registry.pool)
        made = make(registry, caller, prepared, serial, index, now, replaces=old)
        await asyncio.to_thread(registry.store.put, made.licence.object_key, made.lead_copy)
        try:
            kept = await _keep(registry, caller, prepared, made, old, wanted, now)
        except _Meanwhile:
            await asyncio.to_thread(registry.store.delete, made.licence.object_key)
            continue
        except DomainError:
            await asyncio.to_thread(registry.store.delete, made.licence.object_key)
            raise
        return Version(made.licence, kept, fresh=True)


class _Meanwhile(Exception):
    """The old version changed while the new one was made."""


async def _replacing(registry: Registry, life: Life, prepared: Prepared) -> Version | None:
    if life.replaced_by is None:
        return None
    found = await tables.find(registry.pool, life.replaced_by)
    assert found is not None  # licences are never deleted
    if found.request_digest != prepared.digest:
        return None
    return Version(found, await life_tables.life_of(registry.pool, found.identifier), fresh=False)


async def _keep(
    registry: Registry,
    caller: Principal,
    prepared: Prepared,
    made: Made,
    old: Licence,
    wanted: VersionRequest,
    now: datetime,
) -> Life:
    new = made.licence
    async with registry.pool.acquire() as connection, connection.transaction():
        alone = prepared.type.holders.one_in_force
        if alone:
            await requests.lock_holders(connection, prepared.type.id, prepared.subjects)
        locked_old, life = await locked(connection, old.identifier)
        if life.replaced_by is not None:
            raise _Meanwhile
        ending = Wanted(wanted.operation, wanted.reason, successor=new.identifier)
        await apply(registry, connection, caller, locked_old, life, ending, now)
        if alone and await requests.held(connection, prepared.type.type_codes, prepared.subjects):
            raise LicenceInForce(_("the holder has a licence of this type in force"))
        try:
            async with connection.transaction():
                await tables.add(connection, new, made.event, made.co_holders)
                if at_issue(registry, prepared.type):
                    await due.add(connection, new, now)
        except asyncpg.UniqueViolationError as error:
            raise LicenceInForce(_("another licence of this number is in force")) from error
        await hand_on(connection, old.identifier, new.identifier)
        kept = Life(replaces=old.identifier)
        await life_tables.put_life(connection, new.identifier, kept)
    return kept


def _prepared(
    registry: Registry, caller: Principal, old: Licence, wanted: VersionRequest, now: datetime
) -> Prepared:
    """Return the new version as a request to issue that holds."""
    type_ = type_of(registry.types, old.type_code, old.type_version)
    fields: dict[str, Any] = orjson.loads(registry.vault.open(old.sealed, old.identifier.encode()))
    fields |= wanted.fields
    if wanted.number is not None and wanted.operation is not Operation.TRANSFER_IN:
        raise OperationNotAllowed(_("the number stays through all versions"), pointer="/number")
    renewing = wanted.operation is Operation.RENEW
    valid_from = wanted.valid_from or (_next_day(old, now) if renewing else old.valid_from)
    valid_until = wanted.valid_until if renewing else wanted.valid_until or old.valid_until
    request = IssueRequest(
        licence_type=type_.id,
        number=wanted.number or old.number,
        fields={name: value for name, value in fields.items() if value is not None},
        valid_from=valid_from,
        valid_until=valid_until,
        presenter=wanted.presenter,
        division=wanted.division or old.division,
        issuer_name=wanted.issuer_name or old.issuer_name,
        first_issued_on=old.first_issued_on,
        origin="digitised" if old.origin == "digitised" else "issued",
    )
    prepared = prepare(registry.types, registry.vault, caller, request, now)
    if prepared.holders[0].subject != old.holder:
        raise HolderInvalid(_("another holder gets another licence"), pointer="/fields/holder_code")
    if renewing and wanted.valid_from is None:
        # The term was counted from the old one's end; but one version is in force at a time, so it begins at once.
        today = civil_date(now)
        prepared = replace(prepared, wanted=replace(request, valid_from=min(today, request.valid_from)))
    # Equal to itself sent again, and to no request to issue.
    mark = f"{wanted.operation.value} {old.identifier} ".encode() + prepared.digest
    return replace(
        prepared,
        presenter=prepared.presenter if wanted.presenter is not None else old.presenter,
        digest=registry.vault.fingerprint(mark),
    )


def _next_day(old: Licence, now: datetime) -> date:
    today = civil_date(now)
    return today if old.valid_until is None else max(today, old.valid_until + timedelta(days=1))
