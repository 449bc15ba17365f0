"""A department has data of a licence in hand and asks whether they are right; it is told yes or no, and no data."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from foundation.errors import NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.catalog.types import type_of
from license_registry.disclosing.by_grant import look
from license_registry.disclosing.errors import NotGranted
from license_registry.ports import Registry
from license_registry.presenting.check import Result
from license_registry.sharing.compare import Compared, Given, compare
from license_registry.sharing.names import granted, of_fields, of_licence


async def verify_data(
    registry: Registry,
    caller: Principal,
    identifier: str,
    given: Given,
    occasion: dict[str, str],
    now: datetime,
) -> Compared:
    """Compare data with a licence by the caller's grant.

    1. Look at the licence as the grant allows. One that there is not, and one that the grants do not cover, get the
       same result: none.
    2. Refuse names that the grant does not cover, whatever the licence says of them.
    3. Compare, and record what was compared, without values, before the result leaves.

    Args:
        occasion: matter, case and cause of use, for the record.

    Raises:
        NotGranted: no grant covers the matter, or one of the names. ObjectMissing, ObjectAltered, CredentialInvalid.
    """
    try:
        seen = await look(registry, caller, identifier, occasion["matter"], now)
    except NotFound:
        await _record(registry, caller, None, now, result=int(Result.NONE), **occasion)
        return Compared(Result.NONE, (), ())
    by = {"grant": str(seen.grant.id), "purpose": seen.grant.purpose, **occasion}
    ungranted = sorted(set(given).difference(granted(seen.grant.fields)))
    if ungranted:
        await _record(registry, caller, identifier, now, refused=NotGranted.code, **by)
        raise NotGranted(
            _("the grant does not cover {field}"), pointer=f"/data/{ungranted[0]}", field=ungranted[0]
        )
    type_ = type_of(registry.types, seen.licence.type_code, seen.licence.type_version)
    known = of_licence(seen.licence, type_) | of_fields(seen.verdict.fields, registry.types)
    compared = compare(given, known, seen.verdict.result)
    await _record(registry, caller, identifier, now, fields=sorted(given), result=int(compared.result), **by)
    return compared


async def _record(
    registry: Registry, caller: Principal, identifier: str | None, now: datetime, **facts: Any
) -> None:
    event = happened("data-verified", identifier, caller, now, **facts)
    async with registry.pool.acquire() as connection:
        await licences.add_event(connection, event)
