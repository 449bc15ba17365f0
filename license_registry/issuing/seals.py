"""Whether the authority has the seals that a licence type asks for."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime

from foundation.language import _
from license_registry.catalog.types import LicenceType
from license_registry.ports import Registry
from license_registry.seals.errors import SealLacking
from license_registry.seals.states import BY_KIND, SealKind
from license_registry.seals.tables import kinds_in_force


async def require_seals(registry: Registry, authority: str, type_: LicenceType, now: datetime) -> None:
    """Refuse to issue a type while the authority lacks a seal in force of a kind that it asks for.

    A seal of the registry itself is not looked for among those of the authority.

    Raises:
        SealLacking: it does, and the house asks for seals.
    """
    if registry.settings.required_seals == "required":
        await require_in_force(registry, authority, type_, now)


async def require_in_force(registry: Registry, authority: str, type_: LicenceType, now: datetime) -> None:
    """Return if the authority has a seal in force of each kind that the type requires, whatever the house asks for.

    Raises:
        SealLacking: it has not.
    """
    wanted = _required(type_)
    if wanted:
        require_kinds(type_, await kinds_in_force(registry.pool, authority, wanted, now))


def require_kinds(type_: LicenceType, found: Set[str]) -> None:
    """Return if the kinds of seals that the type requires are among these.

    Raises:
        SealLacking: one is not.
    """
    lacking = _required(type_) - set(found)
    if lacking:
        raise SealLacking(
            _("no seal in force of kind {kinds}"), pointer="/licence_type", kinds=", ".join(sorted(lacking))
        )


def _required(type_: LicenceType) -> frozenset[SealKind]:
    return frozenset(BY_KIND[each.by] for each in type_.seals if each.required and each.by in BY_KIND)
