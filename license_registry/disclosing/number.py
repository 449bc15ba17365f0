"""Is there a licence of this number and this holder? Yes or no and its type, to anybody who has both in hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from foundation.civil import civil_date
from foundation.identity.principals import Principal
from foundation.language import _
from foundation.text import bare
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.catalog.types import CO_HOLDERS, LicenceType, require_type
from license_registry.disclosing import tables
from license_registry.disclosing.errors import TooManyTries
from license_registry.identities import of_caller
from license_registry.lifecycle.states import State
from license_registry.ports import Registry
from license_registry.presenting.check import Result
from license_registry.tables import Licence


@dataclass(frozen=True, slots=True)
class Known:
    """The answer: no type where number and name do not belong together, whatever of the two is wrong."""

    result: Result
    type: LicenceType | None


async def check_number(
    registry: Registry, caller: Principal, type_id: str, number: str, holder_name: str, now: datetime
) -> Known:
    """Say whether a licence of a type, a number and a holder's name is valid.

    1. Count the guess, of the caller and about the number, before anything is looked up.
    2. Look it up and compare the name. What differs and what does not exist get the same answer.
    3. Right: take the guess back. Dying before, one guess too many is counted.

    Raises:
        LicenceTypeUnknown: no such type. TooManyTries: too many wrong guesses within the hour.
    """
    type_ = require_type(registry.types, type_id)
    # By another number of theirs nobody gets more guesses.
    who = caller.id if caller.subject is None else min(await of_caller(registry, caller)).hex()
    about = [
        registry.vault.fingerprint(f"guess\0{who}".encode()),
        registry.vault.fingerprint(f"guess\0{type_.id}\0{number}".encode()),
    ]
    hour = now.replace(minute=0, second=0, microsecond=0)
    counted = await tables.count_guess(registry.pool, about, hour)
    if max(counted) > registry.settings.wrong_numbers_per_hour:
        raise TooManyTries(_("too many numbers were wrong; try again in an hour"))
    found = await _named(registry, type_, number, holder_name)
    if found is None:
        known = Known(Result.PARAMETERS_DIFFER, None)
    else:
        await tables.forgive_guess(registry.pool, about, hour)
        known = Known(_result(found, now), type_)
    event = happened(
        "number-checked",
        None if found is None else found.identifier,
        caller,
        now,
        result=int(known.result),
        licence_type=type_.id,
    )
    async with registry.pool.acquire() as connection:
        await licences.add_event(connection, event)
    return known


async def _named(registry: Registry, type_: LicenceType, number: str, holder_name: str) -> Licence | None:
    for identifier in await tables.identifiers_of_number(registry.pool, type_.type_codes, number):
        licence = await licences.find(registry.pool, identifier)
        if licence is None:
            continue
        fields: dict[str, Any] = orjson.loads(registry.vault.open(licence.sealed, identifier.encode()))
        rows = [fields, *(fields.get(CO_HOLDERS) or ())]
        if bare(holder_name) in {bare(str(row["holder_name"])) for row in rows if "holder_name" in row}:
            return licence
    return None


def _result(licence: Licence, now: datetime) -> Result:
    today = civil_date(now)
    if licence.state is State.SUSPENDED:
        return Result.SUSPENDED
    if licence.state is not State.VALID or (licence.valid_until is not None and today > licence.valid_until):
        return Result.VOID
    return Result.NOT_ACTIVE if today < licence.valid_from else Result.VALID
