"""Whether the seals that a licence type asks for are there: of the issuing authority, and of the registry itself."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from foundation.language import _
from license_registry.catalog.types import LicenceType
from license_registry.ports import Registry
from license_registry.seals.errors import SealLacking
from license_registry.seals.tables import kinds_in_force
from license_registry.seals.wanted import WantedSeal, wanted_seals


async def require_seals(registry: Registry, authority: str, type_: LicenceType, now: datetime) -> None:
    """Refuse to issue a type while a seal in force that it requires is lacking.

    Raises:
        SealLacking: one is, and the house asks for seals.
    """
    if registry.settings.required_seals == "required":
        await require_in_force(registry, authority, type_, now)


async def require_in_force(registry: Registry, authority: str, type_: LicenceType, now: datetime) -> None:
    """Return if there is a seal in force for each that the type requires, whatever the house asks for.

    Args:
        authority: that issues.

    Raises:
        SealLacking: there is not.
    """
    wanted = wanted_seals(type_.seals, authority, registry.settings.registry_authority)
    found: list[WantedSeal] = []
    for whose in {each.authority for each in wanted if each.required and each.authority is not None}:
        kinds = {each.kind.value for each in wanted if each.authority == whose}
        there = await kinds_in_force(registry.pool, whose, kinds, now)
        found += [each for each in wanted if each.authority == whose and each.kind.value in there]
    require_found(wanted, found)


def require_found(wanted: Collection[WantedSeal], found: Collection[WantedSeal]) -> None:
    """Return if all that are required were found.

    Raises:
        SealLacking: one was not.
    """
    lacking = [each for each in wanted if each.required and each not in found]
    if lacking:
        raise SealLacking(
            _("no seal in force of kind {kinds}"),
            pointer="/licence_type",
            kinds=", ".join(sorted(each.told for each in lacking)),
        )
