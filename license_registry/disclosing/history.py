"""A department sees what befell a licence (证照历史) without its holder's act, where its grant covers history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from foundation.errors import NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.catalog.types import type_of
from license_registry.disclosing import tables
from license_registry.disclosing.by_grant import covering
from license_registry.disclosing.errors import NotGranted
from license_registry.disclosing.tables import Grant
from license_registry.lifecycle.history import History, through_versions
from license_registry.ports import Registry


@dataclass(frozen=True, slots=True)
class Looked:
    """The history of a licence, and by which grant."""

    history: History
    grant: Grant


async def look_back(
    registry: Registry, caller: Principal, identifier: str, matter: str, case: str, now: datetime
) -> Looked:
    """Return the history of a licence through all its versions, by the caller's grant.

    1. Find a grant that covers history for this matter. Without one nobody learns whether the licence exists.
    2. Read the versions and changes; the grant must cover the type of each.
    3. Record who looked back, for which purpose, matter and case, before anything leaves.

    Raises:
        NotGranted: no grant covers history for the matter. NotFound: there is none that the grants cover.
    """
    grants = await tables.grants_of(registry.pool, caller.id)
    if not any(covering([grant], grant.licence_type, matter, now, history=True) for grant in grants):
        raise NotGranted(_("no grant covers history for this matter now"), pointer="/matter")
    missing = NotFound(_("no such licence that you may see"))
    try:
        found = await through_versions(registry, identifier)
    except NotFound as error:
        raise missing from error
    grant = None
    for licence, _life in found.versions:
        type_ = type_of(registry.types, licence.type_code, licence.type_version)
        grant = covering(grants, type_.id, matter, now, history=True)
        if grant is None:
            raise missing
    assert grant is not None, "a licence has at least one version"
    event = happened(
        "history-seen",
        identifier,
        caller,
        now,
        grant=str(grant.id),
        purpose=grant.purpose,
        matter=matter,
        case=case,
        licences=[licence.identifier for licence, _life in found.versions],
    )
    async with registry.pool.acquire() as connection:
        await licences.add_event(connection, event)
    return Looked(found, grant)
