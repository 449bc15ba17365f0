"""Whose licence is it: somebody may stand in the registers under several identifiers, and holds licences under each."""

from __future__ import annotations

from foundation.identity.principals import Principal
from license_registry import tables
from license_registry.ports import Registry
from license_registry.tables import Licence


async def of_caller(registry: Registry, caller: Principal) -> list[bytes]:
    """Return all identifiers that the person stands under who calls; none for a system."""
    return [] if caller.subject is None else await registry.identities.of(caller.subject)


async def held_by(registry: Registry, subject: bytes) -> list[Licence]:
    """Return all licences that somebody holds, alone or with others, newest first."""
    return await tables.of_holders(registry.pool, await registry.identities.of(subject))


async def presentable_by(registry: Registry, subject: bytes) -> list[Licence]:
    """Return all licences that a person may present, newest first; those held with others are among them."""
    return await tables.of_presenters(registry.pool, await registry.identities.of(subject))


async def may_present(registry: Registry, licence: Licence, subject: bytes) -> bool:
    """Tell whether a person may present a licence: its presenter, and everybody who holds it with others."""
    if licence.presenter == subject:
        return True
    return await tables.may_present(registry.pool, licence, await registry.identities.of(subject))


async def stands_behind(registry: Registry, licence: Licence, subject: bytes) -> bool:
    """Tell whether a person holds a licence as its first holder, or is who presents it."""
    theirs = (licence.holder, licence.presenter)
    return subject in theirs or any(one in theirs for one in await registry.identities.of(subject))
