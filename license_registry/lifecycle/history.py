"""The whole history of a licence: its versions and every signed change, for those who may see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foundation.errors import NotFound
from foundation.identity.principals import Principal, Role
from foundation.language import _
from license_registry import tables
from license_registry.identities import of_caller
from license_registry.lifecycle import tables as life_tables
from license_registry.lifecycle.tables import Change, Life
from license_registry.ports import Registry
from license_registry.tables import Licence


@dataclass(frozen=True, slots=True)
class History:
    """Versions, the first one first, and all their changes in order."""

    versions: tuple[tuple[Licence, Life], ...]
    changes: tuple[Change, ...]


async def history(registry: Registry, caller: Principal, identifier: str) -> History:
    """Return the history of a licence through all its versions.

    Given to the authorities that issued any of the versions, to who holds or presents it, and to auditors.

    Raises:
        NotFound: there is none, or not for this caller.
    """
    theirs = await of_caller(registry, caller)
    found = await through_versions(registry, identifier)
    if not any(_may_see(caller, theirs, licence, life) for licence, life in found.versions):
        raise NotFound(_("no such licence"))
    return found


async def through_versions(registry: Registry, identifier: str) -> History:
    """Return the history of a licence; whoever calls this has to know for whom.

    Raises:
        NotFound: there is none.
    """
    async with (
        registry.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        versions = []
        for each in await life_tables.versions_of(connection, identifier):
            found = await tables.find(connection, each)
            if found is None:
                raise NotFound(_("no such licence"))
            versions.append((found, await life_tables.life_of(connection, each)))
        changes = await life_tables.changes_of(connection, [found.identifier for found, _life in versions])
    return History(tuple(versions), tuple(changes))


def _may_see(caller: Principal, theirs: Sequence[bytes], licence: Licence, life: Life) -> bool:
    if Role.AUDITOR in caller.roles:
        return True
    if caller.subject is not None:
        return licence.holder in theirs or licence.presenter in theirs
    return Role.ISSUING_AUTHORITY in caller.roles and caller.department in (
        licence.issuer,
        life.transferred_to,
    )
